"""Run a resolved job in this process: train it, plan it, or chat with its model."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tunesmith.config import Job
from tunesmith.config.load import Resolved, dump_yaml
from tunesmith.errors import UserError
from tunesmith.finding import Finding
from tunesmith.jobs.ending import ending_recorded
from tunesmith.jobs.process import settled_libraries
from tunesmith.runs.follower import Follower
from tunesmith.runs.layout import RunLayout
from tunesmith.runs.run import Run, flat_yaml
from tunesmith.training.start import asked_checkpoint, goes_on_in, must_be_there

_PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX")}
"""What may bring a tracker along, where it is not a package of its name alone."""


@settled_libraries()
def train(resolved: Resolved, *, resume: Path | None = None) -> Path:
    """Train the job; returns its run directory. resume: a checkpoint to go on from, beside what the job itself says.

    Everything that goes wrong ends the run with its reason recorded, checkpoints intact, and is raised again. A run
    that was stopped, by Ctrl-C or by `runs stop`, raises KeyboardInterrupt once it is saved: what was to follow on a
    whole training does not.
    """
    job = resolved.job
    validate(job)
    must_be_there(job)
    checkpoint = resume or asked_checkpoint(job)
    run = _open_run(resolved, checkpoint)
    with ending_recorded(run, interrupted=lambda: _interrupted(run), full=_memory_is_full):
        run.claim()
        from tunesmith.training.session import train_in  # torch and transformers come in here, which takes seconds

        stopped = train_in(run, job, resolved.notes, checkpoint)
    if stopped and "LOCAL_RANK" not in os.environ:  # torchrun would take a worker that ends so for one to start again
        raise KeyboardInterrupt
    return run.path


def queue(resolved: Resolved) -> RunLayout:
    """Make the run directory, for a process that is started next to train the same job."""
    validate(resolved.job)
    must_be_there(resolved.job)
    return _open_run(resolved, asked_checkpoint(resolved.job)).layout


def validate(job: Job) -> None:
    """Names of optimizer, template and trackers, which need no model file. UserError for the first wrong."""
    from tunesmith.text.families import load_family
    from tunesmith.training.optimizers import OPTIMIZERS

    OPTIMIZERS.get(job.optimizer.optim, field="optim")
    if job.data.template:
        load_family(job.data.template)
    for tracker in job.run.report_to:
        if not any(map(find_spec, _PACKAGES.get(tracker, (tracker,)))):
            raise UserError(
                f"report_to: {tracker} is not installed.",
                hint=f"pip install {tracker}, or leave it out of report_to.",
                field="report_to",
            )


def _open_run(resolved: Resolved, checkpoint: Path | None) -> Run:
    """The run directory: a new one, or the one that the checkpoint lies in. Only the first process writes to it."""
    path = Path(resolved.job.run.output_dir)
    if int(os.environ.get("RANK", "0")) > 0:
        return Follower(path)
    if checkpoint is not None and goes_on_in(path, checkpoint):
        Run.refuse_if_at_work(path)
        return Run.open(path)
    secrets_removed = flat_yaml(resolved.asked)
    return Run.create(path, secrets_removed, dump_yaml(resolved.job), overwrite=resolved.job.run.overwrite_output_dir)


def _interrupted(run: Run) -> UserError:
    if run.state.status != "running":
        return UserError("Stopped before it began.")
    if not run.layout.checkpoints():
        return UserError("Stopped at once, before the first checkpoint; its steps are lost.")
    return UserError("Stopped at once; steps since the last checkpoint are lost.")


def _memory_is_full(said: str) -> UserError:
    message = "The memory is not enough for this run."
    if said:
        message = f"The memory of the device is not enough for this run ({said})."
    return UserError(
        message,
        hint="Lower per_device_train_batch_size (and raise gradient_accumulation_steps to make up), lower cutoff_len, "
        "set gradient_checkpointing: true, or take quantization_bit: 4. `tunesmith plan` tells what fits.",
    )


@settled_libraries()
def plan(resolved: Resolved) -> list[Finding]:
    """The preflight of a training run: nothing is written but the token cache."""
    from tunesmith.training.preflight import preflight

    return preflight(resolved.job)


@settled_libraries()
def chat(resolved: Resolved, *, runtime: str = "") -> None:
    """Talk to the job's model on the terminal. runtime: `llamacpp` or `torch`; left out, llama.cpp answers from GGUF
    files of architectures that can't be loaded here, where it is installed."""
    from tunesmith.inference.chat import repl

    job = resolved.job
    told: dict[str, Any] = {"settings": job.generation, "system": job.data.default_system}
    if runtime == "llamacpp" or (not runtime and _is_for_llamacpp(job)):
        from tunesmith.inference.llamacpp import llamacpp_engine

        with llamacpp_engine(_gguf_file(job), thinking=job.data.enable_thinking, seed=job.training.seed) as engine:
            repl(engine, **told)
        return
    from tunesmith.inference.load import load_engine

    repl(load_engine(job), **told)


def _is_for_llamacpp(job: Job) -> bool:
    path = Path(job.model.model_name_or_path).expanduser()
    if not path.is_file() or job.adapter.adapter_name_or_path:
        return False
    from tunesmith.models.gguf.architecture import is_readable
    from tunesmith.models.gguf.file import open_gguf
    from tunesmith.models.gguf.runtime import is_installed
    from tunesmith.models.locate import locate

    return is_installed() and not is_readable(open_gguf(locate(job.model).path))


def _gguf_file(job: Job) -> Path:
    path = Path(job.model.model_name_or_path).expanduser()
    if not path.is_file() or job.adapter.adapter_name_or_path:
        raise UserError(
            "llama.cpp answers from a GGUF file alone.",
            hint="Make one: tunesmith export RUN --quant q8_0, and name that file; or leave --runtime out.",
            field="model_name_or_path",
        )
    return path
