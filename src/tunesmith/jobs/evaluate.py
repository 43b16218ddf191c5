"""Evaluate a model as it is, as a run: its loss on a data set, and its answers beside those in the data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tunesmith.config.evaluation import COMMAND
from tunesmith.config.legacy import EVAL
from tunesmith.config.load import Resolved, dump_yaml, load_job
from tunesmith.config.reading import SUFFIXES
from tunesmith.errors import UserError
from tunesmith.evaluation.results import Predictions
from tunesmith.jobs.ending import ending_recorded
from tunesmith.jobs.places import Configuration, configuration_of
from tunesmith.jobs.process import settled_libraries
from tunesmith.runs.files import read_json
from tunesmith.runs.layout import RunLayout, is_run
from tunesmith.runs.run import Run, flat_yaml
from tunesmith.runs.state import process_lives, state_from
from tunesmith.training.start import must_be_there

_CHOOSE_ROWS = ("dataset", "dataset_dir", "val_size", "max_samples", "cutoff_len", "data_seed")


@settled_libraries()
def evaluate(resolved: Resolved) -> Path:
    """Evaluate, recording into a run directory, which is returned.

    A run of the same settings that ended early goes on: what is answered already is not asked again. Everything that
    goes wrong ends the run with its reason recorded and is raised again; KeyboardInterrupt after Ctrl-C or `runs stop`,
    when the scores of what there is have been written.
    """
    job = resolved.job
    must_be_there(job)
    run = _open_run(resolved)
    # Refused where another process was faster: that one's run must not be marked as failed.
    run.begin_attempt(from_step=len(Predictions(run.layout.predictions).refresh()))
    with ending_recorded(run, interrupted=lambda: _interrupted(run), full=_memory_is_full):
        from tunesmith.jobs.evaluated import evaluate_in  # torch and transformers come in here, which takes seconds

        evaluate_in(run, job, resolved.notes)
    return run.path


def queue(resolved: Resolved) -> RunLayout:
    """Make the run directory, for a process that is started next to evaluate the same job."""
    must_be_there(resolved.job)
    return _open_run(resolved).layout


def configuration(
    model: str | None, adapter: str | None, dataset: str | None, changed: Collection[str] = ()
) -> Configuration:
    """Config files, and the keys laid over them, of an evaluation of what a person calls a model (see `places`).

    changed: keys that are to be laid over these. Of a run its own folder and what it went on from are left behind.
    """
    files, keys = configuration_of(model, adapter) if model else ([], {})
    of_model = model is not None and not model.lower().endswith(SUFFIXES)
    if of_model:
        keys |= {"output_dir": "", "overwrite_output_dir": False, "resume_from_checkpoint": None, "report_to": None}
    keys |= COMMAND
    if dataset:
        keys |= {"eval_dataset": dataset}
    if dataset or "eval_dataset" in changed:
        return files, {**keys, "val_size": 0.0}
    return files, keys | (_same_rows(files, changed) if of_model and files else {})


def _same_rows(files: Sequence[Path], changed: Collection[str]) -> dict[str, Any]:
    """What keeps the rows that a run's training held back, whatever seed its answers are drawn with. UserError for a
    change that would choose others: among them would be rows that the model was trained on."""
    trained = load_job(files, {}, verb="chat").job
    if trained.data.eval_dataset or not trained.data.val_size:
        return {}
    for key in _CHOOSE_ROWS:
        if key in changed:
            raise UserError(
                f"{key} decides which rows were held back from this training: with another value, rows that the model "
                "was trained on would be asked.",
                hint="Leave it out, or name rows of their own: --dataset NAME.",
                field=key,
            )
    seeds = trained.training
    return {"data_seed": seeds.seed if seeds.data_seed is None else seeds.data_seed}


def after_training(resolved: Resolved) -> Resolved:
    """The answers that a training asks for besides (`do_predict`), of the model that it has saved, as a run beside its
    own."""
    folder = resolved.job.run.output_dir
    files, keys = configuration_of(folder)
    given: dict[str, Any] = {"do_train": False, "do_eval": False, "do_predict": True, "resume_from_checkpoint": None}
    place = {"output_dir": f"{folder}_predict", "overwrite_output_dir": True}
    return load_job(files, {**keys, **given, **place}, verb=EVAL)


def _open_run(resolved: Resolved) -> Run:
    """The run directory: a new one, or one of the same settings that ended early."""
    path, text = Path(resolved.job.run.output_dir), dump_yaml(resolved.job)
    layout = RunLayout(path)
    if is_run(path) and not resolved.job.run.overwrite_output_dir:
        state = state_from(read_json(layout.state) or {})
        early = state.kind == EVAL and state.status != "finished" and not process_lives(state)
        if early and _same_settings(layout, text):
            return Run.open(path)
        if early and layout.predictions.is_file():
            raise UserError(
                f"{path} holds answers of an evaluation with other settings.",
                hint="Choose another output_dir, or set overwrite_output_dir: true.",
                field="output_dir",
            )
    asked = flat_yaml(resolved.asked)
    return Run.create(path, asked, text, overwrite=resolved.job.run.overwrite_output_dir, kind=EVAL)


def _same_settings(layout: RunLayout, resolved: str) -> bool:
    """Whether the run was made with these settings, whatever was said of replacing an earlier one."""

    def told(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith("overwrite_output_dir:")]

    try:
        return told(layout.resolved.read_text(encoding="utf-8")) == told(resolved)
    except OSError:
        return False


def _interrupted(run: Run) -> UserError:
    way_on = f"Go on with: tunesmith runs resume {run.path}"
    return UserError("Stopped; what was answered is kept.", hint=way_on)


def _memory_is_full(said: str) -> UserError:
    return UserError(
        "The memory is not enough for this evaluation.",
        hint="Lower per_device_eval_batch_size, cutoff_len or max_new_tokens, or set quantization_bit: 4.",
    )
