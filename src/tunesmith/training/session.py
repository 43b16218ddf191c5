"""One training run, from a resolved job to a saved model: data, model, loop, and what is left in the run directory."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from tunesmith.config import Job
from tunesmith.config.load import to_flat
from tunesmith.config.places import cache_folder
from tunesmith.data.prepare import StreamedData, prepare, prepare_stream
from tunesmith.data.preview import marked_text, split_runs
from tunesmith.errors import UserError
from tunesmith.models.adapters import count_parameters
from tunesmith.models.estimate import MemoryEstimate, Rows, estimate_training, gradient_checkpointing_needed
from tunesmith.models.load import load_config
from tunesmith.models.locate import LocalModel, locate
from tunesmith.models.neftune import embedding_noise
from tunesmith.models.precision import Precision, choose_device, choose_precision, device_facts, requested_precision
from tunesmith.models.saving import save_tuned
from tunesmith.models.vocabulary import Vocabulary, prepare_vocabulary
from tunesmith.runs.environment import versions
from tunesmith.runs.read import RunReader
from tunesmith.runs.run import Run
from tunesmith.text.template import ChosenTemplate, template_for
from tunesmith.text.tokenizer import Tokenizer
from tunesmith.training.build import Prepared, Training, build_training, load_policy, order_seed
from tunesmith.training.card import Lineage, model_card
from tunesmith.training.checkpoints import Progress, prune, read_checkpoint, write_checkpoint
from tunesmith.training.engine import Engine, World, join_world
from tunesmith.training.loop import Hooks
from tunesmith.training.loop import train as run_loop
from tunesmith.training.plot import plot_loss
from tunesmith.training.report import Speaker, Watch
from tunesmith.training.validate import evaluate


@dataclass(frozen=True, slots=True)
class Ground:
    """What a job stands on before any weight is loaded: the model's place, its tokens, the template, the data."""

    located: LocalModel
    vocabulary: Vocabulary
    tokenizer: Tokenizer
    chosen: ChosenTemplate | None
    precision: Precision
    device: torch.device
    prepared: Prepared


def train_in(run: Run, job: Job, notes: Sequence[str], checkpoint: Path | None) -> None:
    """Train the job, recording into `run`. checkpoint: where to go on from."""
    flat = to_flat(job)
    world = join_world(
        use_cpu=job.training.use_cpu,
        trackers=job.run.report_to,
        folder=run.path,
        name=job.run.run_name or run.path.name,
        config=flat,
    )
    speaker = Speaker(run if world.is_main else None)
    if world.is_main:
        run.begin_attempt(from_step=0 if checkpoint is None else _step_of(checkpoint))
    for note in notes:
        speaker.log_only(note)
    with world.main_first():  # one tokenizes, the others find it in the cache
        ground = prepare_ground(job, speaker)
    _record_data(run, ground.prepared, world)
    estimate = estimate_memory(job, ground)
    model = load_policy(
        job, ground.located, ground.vocabulary, ground.precision, ground.device,
        checkpointing=estimate.checkpointing, note=speaker.say,
    )  # fmt: skip
    training = build_training(job, model, ground.vocabulary, ground.precision, ground.prepared, world, speaker.say)
    run.update(steps=training.plan.total)
    _introduce(run, speaker, job, ground, training, estimate)
    start = Progress()
    if checkpoint is not None:
        start = read_checkpoint(checkpoint, training.engine)
        training.resume_data(start)
        speaker.say(f"Continuing after step {start.step} of {training.plan.total}, from {checkpoint}.")
    _train_and_keep(run, job, ground, training, speaker, start)


def prepare_ground(job: Job, speaker: Speaker) -> Ground:
    """Locate the model, choose template and precision, tokenize the data."""
    cache = cache_folder()
    device = choose_device(use_cpu=job.training.use_cpu)
    precision = choose_precision(requested_precision(job.training), device_facts(device))
    located = locate(job.model)
    vocabulary = prepare_vocabulary(job.model, located, cache)
    tokenizer = Tokenizer.load(vocabulary.folder, split_special_tokens=job.model.split_special_tokens)
    chosen = None if job.objective.stage == "pt" else template_for(job.data, tokenizer)
    template = None if chosen is None else chosen.template
    prepared: Prepared
    with speaker.progress("reading the data") as report:
        shared: dict[str, Any] = {"seed": order_seed(job.training), "cache_dir": cache, "report": report}
        if job.data.streaming:
            shuffle = not job.training.disable_shuffling
            prepared = prepare_stream(job.data, job.objective, tokenizer, template, shuffle=shuffle, **shared)
        else:
            prepared = prepare(job.data, job.objective, tokenizer, template, **shared)
    return Ground(located, vocabulary, tokenizer, chosen, precision, device, prepared)


def estimate_memory(job: Job, ground: Ground) -> MemoryEstimate:
    """The memory of a step over the longest rows, with gradient checkpointing only where asked or needed."""
    config = load_config(ground.vocabulary.folder, job.model)
    rows = Rows(job.training.per_device_train_batch_size, longest_row(job, ground.prepared))
    estimate = partial(
        estimate_training,
        config,
        job.model,
        job.adapter,
        job.optimizer,
        ground.precision,
        rows,
        device=ground.device.type,
    )
    plain = estimate(checkpointing=False)
    asked = job.model.gradient_checkpointing
    needed = gradient_checkpointing_needed(plain, free_memory(ground.device)) if asked == "auto" else asked
    return estimate(checkpointing=True) if needed else plain


def longest_row(job: Job, prepared: Prepared) -> int:
    """Tokens of the longest row that a batch can hold."""
    samples = None if isinstance(prepared, StreamedData) else prepared.train
    if samples is None or job.data.packing or job.data.neat_packing:
        return job.data.cutoff_len
    return int(samples.lengths.max(initial=1))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _train_and_keep(run: Run, job: Job, ground: Ground, training: Training, speaker: Speaker, start: Progress) -> None:
    engine, plan = training.engine, training.plan
    hooks = Hooks(
        save=partial(_save_checkpoint, run, job, ground, training),
        evaluate=partial(evaluate, engine, training.objective, training.evals),
    )
    began = time.monotonic()
    with (
        Watch(run, engine, speaker, plan.total, start.step) as watch,
        embedding_noise(training.model, job.optimizer.neftune_noise_alpha),
    ):
        progress, ending = run_loop(engine, training.objective, training.loader, plan, hooks, watch, start)
        results = {"train_runtime": time.monotonic() - began, **watch.last}
        if ending == "finished" and training.evals and (job.training.do_eval or plan.eval_every):
            results |= _final_evaluation(training, watch, progress)
    if job.training.load_best_model_at_end and progress.best_step and ending == "finished":
        _return_to_best(run, engine, progress, speaker)
    if engine.world.is_main:
        _save(ground, training, job, run.path, engine.trained_state())
        _leave_results(run, job, ground, progress, results)
        run.finish(ending)
        speaker.say(_closing_words(run, ending, progress, plan.total))
    engine.world.wait()
    engine.end()


def _final_evaluation(training: Training, watch: Watch, progress: Progress) -> dict[str, float]:
    values = evaluate(training.engine, training.objective, training.evals)
    watch.evaluated(progress.step, progress.step / training.plan.steps_per_epoch, values)
    return values


def _save_checkpoint(run: Run, job: Job, ground: Ground, training: Training, progress: Progress) -> None:
    engine, settings = training.engine, job.training
    if engine.world.is_main:
        progress = replace(progress, position=training.data_position())
        save = partial(_save, ground, training, job)
        folder = write_checkpoint(run.layout, engine, progress, save, model_only=settings.save_only_model)
        run.event("checkpoint", step=progress.step, path=folder.name)
        prune(run.layout, settings.save_total_limit, progress.best_step if settings.load_best_model_at_end else None)
    engine.world.wait()


def _save(ground: Ground, training: Training, job: Job, folder: Path, weights: Mapping[str, Tensor]) -> None:
    """The adapter or model with its tokenizer; a named template goes along only where the tokenizer has none."""
    save_tuned(
        training.model,
        ground.vocabulary.folder,
        folder,
        masters=weights,
        plain_lora=job.adapter.pissa_convert,
        chat_template=_saved_template(ground, job),
    )


def _saved_template(ground: Ground, job: Job) -> str | None:
    """The template that the model was trained with, where its tokenizer's own would write something else."""
    if ground.chosen is None or ground.chosen.agrees:
        return None
    return ground.chosen.template.portable(thinking=job.data.enable_thinking)


def _return_to_best(run: Run, engine: Engine, progress: Progress, speaker: Speaker) -> None:
    folder = run.layout.checkpoint(progress.best_step or 0)
    if not folder.is_dir():
        speaker.say(f"The best step {progress.best_step} was not saved; the last weights are kept.")
        return
    read_checkpoint(folder, engine, weights_only=True)
    speaker.say(f"The best evaluation was at step {progress.best_step}: its weights are kept.")


def _introduce(
    run: Run, speaker: Speaker, job: Job, ground: Ground, training: Training, estimate: MemoryEstimate
) -> None:
    """What a person should know before the first step."""
    for line in [*(ground.chosen.notes if ground.chosen else ()), *ground.prepared.report.lines()]:
        speaker.say(line)
    speaker.say(ground.precision.note)
    if estimate.checkpointing:
        speaker.say("Gradient checkpointing is on: less memory, about a quarter slower.")
    speaker.say(f"{count_parameters(training.model)}.")
    parts = ", ".join(f"{name} {size / 1e9:.2f}" for name, size in estimate.parts.items())
    speaker.say(f"Memory: about {estimate.total / 1e9:.1f} GB ({parts}).")
    ids, weights = _first_sample(training)
    runs = split_runs(ids, weights, ground.tokenizer)
    speaker.say("One example, as the model sees it:")
    speaker.say(marked_text(runs))
    speaker.say("What it learns of that: " + " … ".join(repr(part) for trained, _, part in runs if trained))
    if training.engine.world.is_main:
        run.sample(
            kind="training", ids=ids.tolist(), weights=weights.tolist(), text=ground.tokenizer.decode(ids.tolist())
        )
    rows = job.training.per_device_train_batch_size * job.training.gradient_accumulation_steps
    speaker.say(
        f"{training.plan.total:,} steps of {rows} rows; about {training.plan.steps_per_epoch:,.0f} steps an epoch."
    )


def _first_sample(training: Training) -> tuple[np.ndarray, np.ndarray]:
    """ids int32 [T] and weights float32 [T] of the first row of the first batch, the weights on the token itself."""
    batch = training.loader.step(0)[0]
    end = int(batch.cu_seqlens[1])
    weights = np.concatenate([[0.0], batch.weights[: end - 1].numpy()])
    return batch.input_ids[:end].numpy(), weights.astype(np.float32)


def _record_data(run: Run, prepared: Prepared, world: World) -> None:
    if not world.is_main:
        return
    for refusal in prepared.report.refusals:
        run.refused(file=refusal.file, line=refusal.line, reason=refusal.reason)
    run.event("data", **prepared.report.to_json())
    run.add_environment(device=str(world.device), torch_threads=torch.get_num_threads())


def _leave_results(run: Run, job: Job, ground: Ground, progress: Progress, results: Mapping[str, float]) -> None:
    """Result files, loss curve and model card."""
    kinds = {"train": {}, "eval": {}}  # type: dict[str, dict[str, float]]
    for name, value in results.items():
        kinds["eval" if name.startswith("eval_") else "train"]["train_loss" if name == "loss" else name] = value
    for kind, values in kinds.items():
        if values:
            (run.path / f"{kind}_results.json").write_text(json.dumps(values, indent=4) + "\n", encoding="utf-8")
    together = {name: value for values in kinds.values() for name, value in values.items()}
    (run.path / "all_results.json").write_text(json.dumps(together, indent=4) + "\n", encoding="utf-8")
    if job.run.plot_loss:
        plot_loss(RunReader(run.path), run.layout.loss_plot)
    defaults = to_flat(Job())
    hidden = {"model_name_or_path", "output_dir", "dataset", "dataset_dir"}
    settings = {k: v for k, v in to_flat(job).items() if v != defaults.get(k) and k not in hidden}
    lineage = Lineage(
        base=ground.located.repository or ground.located.name,
        method=job.adapter.finetuning_type,
        stage=job.objective.stage,
        datasets=[Path(name).name for name in job.data.dataset],
        rows=ground.prepared.report.train_samples,
        trained_tokens=progress.trained,
        settings=settings,
        results=together,
        versions=versions(("tunesmith", "torch", "transformers", "peft")),
    )
    run.layout.model_card.write_text(model_card(run.path.name, lineage), encoding="utf-8")


def _closing_words(run: Run, ending: str, progress: Progress, total: int) -> str:
    if ending == "stopped":
        return f"Stopped and saved at step {progress.step} of {total}. Go on with: tunesmith runs resume {run.path}"
    return "\n".join(
        [
            f"Finished: {run.path}",
            f"  talk to it:  tunesmith chat {run.path}",
            f"  the curve:   tunesmith runs show {run.path}",
        ]
    )


def _step_of(checkpoint: Path) -> int:
    number = checkpoint.name.rpartition("-")[2]
    if not number.isdigit():
        raise UserError(
            f"{checkpoint} is not named as a checkpoint.",
            hint="Name a checkpoint-N folder.",
            field="resume_from_checkpoint",
        )
    return int(number)
