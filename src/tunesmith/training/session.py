"""One training run, from a resolved job to a saved model: data, model, loop, and what is kept."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tunesmith.config import Job
from tunesmith.config.load import to_flat
from tunesmith.config.shell import quoted
from tunesmith.data.examples import Refusal
from tunesmith.data.preview import marked_text, split_runs
from tunesmith.errors import UserError
from tunesmith.models.adapters import count_parameters
from tunesmith.models.estimate import MemoryEstimate
from tunesmith.models.neftune import embedding_noise
from tunesmith.models.saving import save_tuned
from tunesmith.runs.read import RunReader
from tunesmith.runs.run import Run
from tunesmith.training.build import Prepared, Training, build_training, load_policy, told_steps
from tunesmith.training.checkpoints import Progress, keep_as_result, prune, read_checkpoint, write_checkpoint
from tunesmith.training.engine import World, flushed_denormals, join_world
from tunesmith.training.ground import Ground, estimate_memory, prepare_ground
from tunesmith.training.loop import Hooks
from tunesmith.training.loop import train as run_loop
from tunesmith.training.report import Speaker, Watch
from tunesmith.training.results import leave_results
from tunesmith.training.validate import evaluate


@flushed_denormals()
def train_in(run: Run, job: Job, notes: Sequence[str], checkpoint: Path | None) -> bool:
    """Train the job, recording into `run`. checkpoint: where to go on from.

    Returns whether it was stopped, by a signal such as Ctrl-C or by its stop file; all is saved then too.
    """
    flat = to_flat(job)
    world = join_world(
        use_cpu=job.training.use_cpu,
        timeout_seconds=job.training.ddp_timeout,
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
    if not job.data.streaming:
        ground.tokenizer.release()
    start = Progress()
    if checkpoint is not None:
        start = read_checkpoint(checkpoint, training.engine)
        training.resume_data(start)
        if start.step >= training.plan.total:
            raise UserError(
                f"{checkpoint} is at step {start.step}; this run ends at step {training.plan.total}: nothing is left.",
                hint="To train longer, raise num_train_epochs (or max_steps) and keep resume_from_checkpoint.",
                field="resume_from_checkpoint",
            )
        speaker.say(f"Continuing after step {start.step} of {training.plan.total}, from {checkpoint}.")
    return _train_and_keep(run, job, ground, training, speaker, start)


def _train_and_keep(run: Run, job: Job, ground: Ground, training: Training, speaker: Speaker, start: Progress) -> bool:
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
        seconds = time.monotonic() - began
        best = _best_checkpoint(run, job, progress, speaker) if ending == "finished" else None
        kept = progress.step if best is None else progress.best_step
        engine.world.wait()  # the first rank has written what all read
        known = _evaluation_at(run, kept)
        wanted = ending == "finished" and training.evals and (job.training.do_eval or plan.eval_every)
        if wanted and not known:
            known = hooks.evaluate()
            watch.evaluated(progress.step, progress.step / plan.steps_per_epoch, known)
    if engine.world.is_main:
        if best is None:
            _save(ground, training, job, run.path, engine.trained_state())
        else:
            keep_as_result(best, run.path)
        leave_results(run, job, ground, progress, {"train_runtime": seconds, **watch.last}, known if wanted else {})
        _record_refusals(run, training.new_refusals())
        _keep_last_step(run, job, ground, training, progress, speaker)
        run.finish(ending)
        speaker.say(_closing_words(run, ending, progress, plan.total))
    engine.world.wait()
    engine.end()
    return ending == "stopped"


def _best_checkpoint(run: Run, job: Job, progress: Progress, speaker: Speaker) -> Path | None:
    """The checkpoint of the best evaluation, where that is what the run is to end with."""
    if not job.training.load_best_model_at_end or progress.best_step is None:
        return None
    folder = run.layout.checkpoint(progress.best_step)
    if not folder.is_dir():
        speaker.say(f"The best step {progress.best_step} was not saved; the last weights are kept.")
        return None
    speaker.say(f"The best evaluation was at step {progress.best_step}: its weights are kept.")
    return folder


def _evaluation_at(run: Run, step: int | None) -> dict[str, float]:
    """What the run recorded of an evaluation after this step."""
    found: dict[str, float] = {}
    for point in RunReader(run.path).metrics():
        if point["step"] == step:
            found |= {name: value for name, value in point.items() if name.startswith("eval_")}
    return found


def _save_checkpoint(run: Run, job: Job, ground: Ground, training: Training, progress: Progress) -> None:
    if training.engine.world.is_main:
        _write_checkpoint(run, job, ground, training, progress)
    training.engine.world.wait()


def _write_checkpoint(run: Run, job: Job, ground: Ground, training: Training, progress: Progress) -> None:
    settings, progress = job.training, replace(progress, position=training.data_position())
    save = partial(_save, ground, training, job)
    folder = write_checkpoint(run.layout, training.engine, progress, save, model_only=settings.save_only_model)
    run.event("checkpoint", step=progress.step, path=folder.name)
    _record_refusals(run, training.new_refusals())
    prune(run.layout, settings.save_total_limit, progress.best_step if settings.load_best_model_at_end else None)


def _keep_last_step(
    run: Run, job: Job, ground: Ground, training: Training, progress: Progress, speaker: Speaker
) -> None:
    """A checkpoint of the last step, where checkpoints are asked for: a finished run can be trained further.

    The result is on disk by now, so a checkpoint that can't be written is told and costs nothing else.
    """
    if not training.plan.save_every or run.layout.checkpoint(progress.step).is_dir():
        return
    try:
        _write_checkpoint(run, job, ground, training, progress)
    except UserError as error:
        run.event("warning", message=error.message)
        speaker.say(f"Warning: {error.message} What was trained is saved without it.")


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
            kind="training", ids=ids.tolist(), weights=weights.tolist(), text=ground.tokenizer.decode(ids.tolist()),
            pieces=[{"text": part, "kind": "trained" if trained else "masked"} for trained, _, part in runs],
        )  # fmt: skip
    plan = training.plan
    epoch = f"; {plan.steps_per_epoch:,.0f} make an epoch" if plan.steps_per_epoch > 1 else ""
    speaker.say(f"{told_steps(job.training, training.loader, plan, training.engine.world)}{epoch}.")


def _first_sample(training: Training) -> tuple[np.ndarray, np.ndarray]:
    """ids int32 [T] and weights float32 [T] of the first row of the first batch, the weights on the token itself."""
    batch = training.loader.step(0)[0]
    end = int(batch.cu_seqlens[1])
    weights = np.concatenate([[0.0], batch.weights[: end - 1].numpy()])
    return batch.input_ids[:end].numpy(), weights.astype(np.float32)


def _record_data(run: Run, prepared: Prepared, world: World) -> None:
    if not world.is_main:
        return
    _record_refusals(run, prepared.report.refusals)
    run.event("data", **prepared.report.to_json())
    run.add_environment(device=str(world.device), torch_threads=torch.get_num_threads())


def _record_refusals(run: Run, refusals: Iterable[Refusal]) -> None:
    for refusal in refusals:
        run.refused(file=refusal.file, line=refusal.line, reason=refusal.reason)


def _closing_words(run: Run, ending: str, progress: Progress, total: int) -> str:
    path = quoted(run.path)
    if ending == "stopped":
        return f"Stopped and saved at step {progress.step} of {total}. Go on with: tunesmith runs resume {path}"
    return "\n".join(
        [
            f"Finished: {run.path}",
            f"  talk to it:  tunesmith chat {path}",
            f"  the curve:   tunesmith runs show {path}",
            f"  a GGUF file: tunesmith export {path} --quant q4_k_m",
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
