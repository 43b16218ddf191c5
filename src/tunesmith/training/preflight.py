"""The preflight of a run: everything that can be known beforehand, one real micro-step included."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import torch

from tunesmith.batch import Batch
from tunesmith.config import Job
from tunesmith.data.loader import BatchLoader, make_batch
from tunesmith.data.prepare import StreamedData
from tunesmith.errors import UserError
from tunesmith.finding import Finding
from tunesmith.models.adapter_files import locate_adapter
from tunesmith.models.adapters import count_parameters
from tunesmith.models.estimate import MemoryEstimate
from tunesmith.models.locate import locate
from tunesmith.training.build import Training, build_training, counted, load_policy, told_steps
from tunesmith.training.engine import flushed_denormals, join_world
from tunesmith.training.ground import Ground, estimate_memory, free_memory, prepare_ground
from tunesmith.training.report import Speaker
from tunesmith.training.start import check_data, check_folder, check_places

_TRUNCATED = 0.05
"""Share of shortened samples above which the plan warns."""


@flushed_denormals()
def preflight(job: Job) -> list[Finding]:
    """How each thing stands, in the order a run meets them.

    What can be looked at by itself is, whatever else has failed; of all that follows, a failure ends the list.
    """
    alone = [*_told(_folder(job)), *_told(_names(job))]
    if not _fails(alone) or Path(job.model.model_name_or_path).expanduser().exists():
        alone += _told(_model(job))
    else:  # a model is not fetched for a job that can't start
        alone += _told(_places(job))
    if _fails(alone):
        return alone
    return [*alone, *_told(_together(job))]


def _fails(findings: list[Finding]) -> bool:
    return any(finding.status == "fail" for finding in findings)


def _told(checks: Iterator[Finding]) -> Iterator[Finding]:
    """What a check finds; what it raises is a failure."""
    try:
        yield from checks
    except UserError as error:
        yield Finding("fail", error.field or "this job", error.message, error.hint)


def _names(job: Job) -> Iterator[Finding]:
    """Fails where a data set is not where its name says; there is nothing to tell of the others yet."""
    check_data(job)
    yield from ()


def _places(job: Job) -> Iterator[Finding]:
    check_places(job)
    yield from ()


def _model(job: Job) -> Iterator[Finding]:
    check_places(job)
    located = locate(job.model)
    yield Finding("pass", "model", f"{located.name} ({located.path})")
    for asked in job.adapter.adapter_name_or_path:
        yield Finding("pass", "adapter", str(locate_adapter(asked, job.adapter, job.model)))


def _together(job: Job) -> Iterator[Finding]:
    ground = prepare_ground(job, Speaker(None))
    yield Finding("pass", "precision", ground.precision.note)
    for note in ground.chosen.notes if ground.chosen else ():
        yield Finding("warn", "template", note, "Look at a row: tunesmith data preview.")
    yield from _data(job, ground)
    estimate = estimate_memory(job, ground)
    yield _memory(estimate, ground.device)
    yield from _measured(job, ground, estimate)


def _folder(job: Job) -> Iterator[Finding]:
    check_folder(job)
    yield Finding("pass", "output_dir", job.run.output_dir)


def _data(job: Job, ground: Ground) -> Iterator[Finding]:
    report = ground.prepared.report
    for found in report.datasets:
        share = found.truncated / max(found.samples, 1)
        counts = f"{found.samples:,} samples, {found.tokens:,} tokens, {found.trained:,} of them trained"
        yield Finding("pass", f"data {found.name}", f"{counts} ({found.format})")
        if found.refused:
            reason = next(iter(found.reasons), "")
            told = f"{found.refused:,} of {found.rows:,} rows can't be used, most often: {reason}"
            yield Finding("warn", f"data {found.name}", told, f"tunesmith data check {found.name}")
        if found.truncated:
            told = f"{found.truncated:,} samples ({share:.1%}) are longer than cutoff_len {job.data.cutoff_len}"
            yield Finding(
                "warn" if share > _TRUNCATED else "pass",
                f"data {found.name}",
                told,
                "Raise cutoff_len if memory allows.",
            )
        if found.placeholders:
            names = ", ".join("{{" + name + "}}" for name in found.placeholders)
            told = f"placeholders are left in the text: {names}"
            fix = f"placeholders: {{{next(iter(found.placeholders))}: …}}"
            yield Finding("warn", f"data {found.name}", told, fix)
    for note in report.notes:
        yield Finding("pass", "data", note)


def _memory(estimate: MemoryEstimate, device: torch.device) -> Finding:
    free = free_memory(device)
    parts = ", ".join(f"{name} {size / 1e9:.2f}" for name, size in estimate.parts.items())
    told = f"about {estimate.total / 1e9:.1f} GB of {free / 1e9:.1f} GB free ({parts})"
    if estimate.checkpointing:
        told += ", with gradient checkpointing"
    if estimate.total <= free * 0.9:
        return Finding("pass", "memory", told)
    fix = "Lower per_device_train_batch_size or cutoff_len, set quantization_bit: 4, or take a smaller model."
    return Finding("fail" if estimate.total > free else "warn", "memory", told, fix)


def _measured(job: Job, ground: Ground, estimate: MemoryEstimate) -> Iterator[Finding]:
    """What only the real model tells: parameters, micro-steps of the longest and of usual rows, disk and time."""
    notes: list[str] = []
    world = join_world(use_cpu=job.training.use_cpu, folder=Path(), name="", config={})
    model = load_policy(
        job, ground.located, ground.vocabulary, ground.precision, ground.device,
        checkpointing=estimate.checkpointing, note=notes.append,
    )  # fmt: skip
    training = build_training(job, model, ground.vocabulary, ground.precision, ground.prepared, world, notes.append)
    for note in notes:
        yield Finding("pass", "model", note)
    parameters = count_parameters(model)
    yield Finding("pass", "trained", str(parameters))
    try:
        if (longest := _longest(job, training, ground)) is not None:
            _micro_step(training, longest)
        seconds_per_token = _micro_step(training, training.loader.step(0)[0])
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        fix = "Lower per_device_train_batch_size or cutoff_len, or set gradient_checkpointing: true."
        yield Finding("fail", "micro-step", "the memory does not hold a micro-step of the longest rows", fix)
        return
    peak = _peak_bytes(ground.device)
    speed = f"{1 / seconds_per_token:,.0f} tokens/s"
    told = f"done: {peak / 1e9:.1f} GB at the peak (estimated {estimate.total / 1e9:.1f}), {speed}"
    yield Finding("pass", "micro-step", told)
    yield _disk(job, training, parameters.trainable, estimate)
    yield _time(job, training, seconds_per_token)


def _longest(job: Job, training: Training, ground: Ground) -> Batch | None:
    """A micro-batch of the longest rows there are."""
    if isinstance(ground.prepared, StreamedData) or ground.prepared.train is None:
        return None
    store, loader = ground.prepared.train, training.loader
    assert isinstance(loader, BatchLoader)
    if loader.rows < len(store):  # packed: every row is about full
        return None
    rows = np.argsort(store.lengths)[-job.training.per_device_train_batch_size :]
    return make_batch([(store.ids(row), store.weights(row)) for row in rows.tolist()])


def _micro_step(training: Training, batch: Batch) -> float:
    """Forward, backward and update with a gradient of zero weight; returns seconds per token."""
    engine = training.engine
    began = time.perf_counter()
    (on_device,) = engine.moved([batch])
    loss = training.objective.loss(engine.score(on_device), on_device)
    engine.backward(loss.value * 0.0)
    engine.step()
    if engine.world.device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / batch.tokens


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _disk(job: Job, training: Training, trainable: int, estimate: MemoryEstimate) -> Finding:
    """Room for the checkpoints that are kept, and for the result."""
    settings, plan = job.training, training.plan
    weights = trainable * 4 if job.adapter.finetuning_type == "lora" else estimate.weights
    state = 0 if settings.save_only_model else trainable * 12
    written = math.ceil(plan.total / plan.save_every) if plan.save_every else 0  # the last step's is one of them
    if plan.save_best and plan.eval_every:
        written = plan.total // plan.eval_every
    kept = min(written, settings.save_total_limit or written)
    need = (kept + 1) * weights + kept * state
    folder = Path(job.run.output_dir).absolute()
    path = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(path).free
    what = f"{counted(kept, 'checkpoint')} and the result take" if kept else "the result takes"
    size = f"{need / 1e9:.2f} GB" if need >= 1e8 else f"{need / 1e6:.1f} MB"
    told = f"{what} about {size} of {free / 1e9:.0f} GB free"
    if need < free * 0.9:
        return Finding("pass", "disk", told)
    return Finding("fail", "disk", told, "Set save_total_limit: 2 or save_only_model: true, or choose another disk.")


def _time(job: Job, training: Training, seconds_per_token: float) -> Finding:
    plan, loader = training.plan, training.loader
    sampled = [sum(batch.tokens for batch in loader.step(number)) for number in range(min(plan.total, 20))]
    seconds = sum(sampled) / len(sampled) * plan.total * seconds_per_token
    steps = told_steps(job.training, loader, plan, training.engine.world)
    return Finding("pass", "time", f"{steps}, about {_duration(seconds)}")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
