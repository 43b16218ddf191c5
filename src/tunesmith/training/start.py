"""What keeps a job from starting, as far as it can be told before anything is loaded or fetched; no torch here.

A dry run, the plan and the run itself ask the same functions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tunesmith.config import Job
from tunesmith.data.catalog import missing_data
from tunesmith.errors import UserError
from tunesmith.models.locate import missing_place
from tunesmith.runs.files import read_json
from tunesmith.runs.further import way_further
from tunesmith.runs.layout import Checkpoint, RunLayout, is_complete
from tunesmith.runs.run import Run
from tunesmith.runs.state import state_from


def obstacles(job: Job) -> list[UserError]:
    """All that stands in the way: of the folder and what is resumed, of the data sets, of the model."""
    return [error for check in CHECKS if (error := told(check, job)) is not None]


def must_be_there(job: Job) -> None:
    """UserError for the first data set, model or adapter that is not where its name says."""
    check_data(job)
    check_places(job)


def told(check: Callable[[Job], None], job: Job) -> UserError | None:
    """What a check raises."""
    try:
        check(job)
    except UserError as error:
        return error
    return None


def check_folder(job: Job) -> None:
    """UserError where the run's directory can't be begun, or not gone on with from the checkpoint that is named."""
    path = Path(job.run.output_dir)
    checkpoint = asked_checkpoint(job)
    if checkpoint is not None and goes_on_in(path, checkpoint):
        Run.refuse_if_at_work(path)
    else:
        Run.refuse_if_used(path, overwrite=job.run.overwrite_output_dir)


def check_data(job: Job) -> None:
    """UserError where a data set is not where its name says."""
    if error := missing_data(job.data, job.model.hub_name):
        raise error


def check_places(job: Job) -> None:
    """UserError where the model or an adapter can only lie on this machine, and nothing is there."""
    if error := missing_place(job.model.model_name_or_path.strip()):
        raise error
    for adapter in job.adapter.adapter_name_or_path:
        if error := missing_place(adapter, field="adapter_name_or_path"):
            raise error


def check_template(job: Job) -> None:
    """UserError where the model lies on this machine without a chat template, and none is named."""
    from tunesmith.models.own_template import brings_template
    from tunesmith.text.families import no_template

    asked = job.model.model_name_or_path.strip()
    if job.objective.stage == "pt" or job.data.template or not asked:
        return
    if brings_template(Path(asked).expanduser()) is False:
        raise no_template()


CHECKS: tuple[Callable[[Job], None], ...] = (check_folder, check_data, check_places, check_template)


def goes_on_in(path: Path, checkpoint: Path) -> bool:
    """Whether the checkpoint is one of the run in `path`, which then goes on in its own directory."""
    return checkpoint.resolve().parent == path.resolve()


def asked_checkpoint(job: Job) -> Path | None:
    """The checkpoint that resume_from_checkpoint names: a path, or with `true` the newest of the output_dir."""
    asked = job.run.resume_from_checkpoint
    if not asked:
        return None
    layout = RunLayout(Path(job.run.output_dir))
    if asked is True:
        found = layout.checkpoints()
        if not found:
            otherwise = "Leave it out to start from the beginning, or name a checkpoint-N folder."
            raise UserError(
                f"resume_from_checkpoint: there is no complete checkpoint in {layout.root}.",
                hint=_way_further(layout) or otherwise,
                field="resume_from_checkpoint",
            )
        _must_not_go_back(layout, found[-1])
        _must_leave_steps(found[-1].path, job.training.max_steps)
        return found[-1].path
    path = Path(asked).expanduser()
    if not path.is_dir():
        known = ", ".join(checkpoint.path.name for checkpoint in layout.checkpoints()) or "none"
        raise UserError(
            f"resume_from_checkpoint: there is no folder {path}.",
            hint=f"Complete checkpoints in {layout.root}: {known}.",
            field="resume_from_checkpoint",
        )
    if not is_complete(path):
        raise UserError(
            f"resume_from_checkpoint: {path} is not a complete checkpoint.",
            hint="Name a checkpoint-N folder of a run; `tunesmith runs show RUN` lists them.",
            field="resume_from_checkpoint",
        )
    _must_leave_steps(path, job.training.max_steps)
    return path


def _way_further(layout: RunLayout) -> str:
    return way_further(layout, state_from(read_json(layout.state) or {}).step)


def _must_not_go_back(layout: RunLayout, newest: Checkpoint) -> None:
    """UserError where a finished run would lose what it trained after its newest checkpoint."""
    state = state_from(read_json(layout.state) or {})
    if state.status != "finished" or newest.step >= state.step:
        return
    raise UserError(
        f"resume_from_checkpoint: {layout.root} has finished at step {state.step}, and its newest checkpoint is of "
        f"step {newest.step}: going on from there would replace what was trained since.",
        hint=f"{_way_further(layout)} To go back all the same: resume_from_checkpoint: {newest.path}".lstrip(),
        field="resume_from_checkpoint",
    )


def _must_leave_steps(checkpoint: Path, max_steps: int) -> None:
    done = checkpoint.name.rpartition("-")[2]
    if max_steps > 0 and done.isdigit() and int(done) >= max_steps:
        raise UserError(
            f"max_steps: {max_steps} leaves nothing to train: {checkpoint} has {done} steps behind it.",
            hint="max_steps counts from the run's beginning, not from the checkpoint: raise it and leave "
            "resume_from_checkpoint as it is.",
            field="max_steps",
        )
