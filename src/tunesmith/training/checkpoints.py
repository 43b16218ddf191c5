"""Checkpoints: everything a killed run needs to go on as if nothing had happened, without pickle.

A checkpoint is the model or adapter as anyone can load it, plus `training_state.safetensors` (master weights, optimizer
moments, random generators) and `training_state.json` (counters, schedule, learning rates). Both are written aside, the
marker last, and the folder is renamed into place: a folder without its marker is never read.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tunesmith.errors import UserError
from tunesmith.runs.layout import RunLayout, complete_marker
from tunesmith.training.engine import Engine

STATE_TENSORS = "training_state.safetensors"
STATE_FACTS = "training_state.json"

SaveModel = Callable[[Path, dict[str, Tensor]], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come; what the loop itself has to remember.

    step: optimizer steps done. tokens: tokens seen, trained: tokens that carried a loss.
    best: best value of the watched metric, best_step where it was, stale: evaluations since without a better one.
    position: where streamed data stands (epoch, rows, units).
    """

    step: int = 0
    tokens: int = 0
    trained: int = 0
    best: float | None = None
    best_step: int | None = None
    stale: int = 0
    position: tuple[int, int, int] | None = None


def write_checkpoint(
    layout: RunLayout, engine: Engine, progress: Progress, save_model: SaveModel, *, model_only: bool
) -> Path:
    """Write checkpoint-<step>. On any error nothing of it stays behind; a full disk is a UserError."""
    folder = layout.checkpoint(progress.step)
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        weights = engine.trained_state()
        save_model(aside, weights)
        if not model_only:
            _write_state(aside, engine, weights, progress)
        _sync(aside)
        complete_marker(aside).touch()
        shutil.rmtree(folder, ignore_errors=True)
        aside.replace(folder)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise UserError(
            f"Can't write the checkpoint {folder}: {error.strerror or error}.",
            hint="Earlier checkpoints are intact: free some space (save_total_limit, save_only_model help), "
            "then continue with `tunesmith runs resume`.",
            field="output_dir",
        ) from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return folder


def read_checkpoint(folder: Path, engine: Engine, *, weights_only: bool = False) -> Progress:
    """Restore engine and random generators from a checkpoint; UserError if it is not one or does not fit.

    weights_only: take the trained weights and leave the rest as it is.
    """
    if not (folder / STATE_TENSORS).is_file():
        found = "holds weights only (save_only_model)" if complete_marker(folder).exists() else "is not complete"
        raise UserError(
            f"Training can't be continued from {folder}: the checkpoint {found}.",
            hint="Name an earlier checkpoint, or start a new run with adapter_name_or_path set to this folder.",
            field="resume_from_checkpoint",
        )
    tensors = load_file(folder / STATE_TENSORS)
    facts = json.loads((folder / STATE_FACTS).read_text(encoding="utf-8"))
    weights = {name.removeprefix("master."): tensor for name, tensor in tensors.items() if name.startswith("master.")}
    expected = {master.name: tuple(master.weight.shape) for master in engine.masters}
    if {name: tuple(tensor.shape) for name, tensor in weights.items()} != expected:
        raise UserError(
            f"The checkpoint {folder} was made with other trained parameters than this configuration has.",
            hint="Resume with the run's own resolved.yaml: `tunesmith runs resume RUN`.",
            field="resume_from_checkpoint",
        )
    engine.load_trained_state(weights)
    if weights_only:
        return Progress(**facts["progress"])
    engine.optimizer.load_state_dict(_join_optimizer(facts["optimizer"], tensors))
    engine.schedule.load_state_dict(facts["schedule"])
    engine.load_scaler_state(facts["scaler"])
    _restore_random(facts["python_random"], tensors)
    return Progress(**facts["progress"])


def prune(layout: RunLayout, limit: int | None, keep: int | None) -> None:
    """Delete the oldest checkpoints beyond limit, never the one at step `keep` nor the newest."""
    found = layout.checkpoints()
    if not limit or len(found) <= limit:
        return
    spared = {found[-1].step, keep}
    spare = [checkpoint for checkpoint in found if checkpoint.step not in spared]
    for checkpoint in spare[: len(found) - max(limit, 1)]:
        # The marker goes first: a deletion cut short leaves a folder that is never read.
        complete_marker(checkpoint.path).unlink(missing_ok=True)
        shutil.rmtree(checkpoint.path, ignore_errors=True)


def _write_state(folder: Path, engine: Engine, weights: dict[str, Tensor], progress: Progress) -> None:
    facts, tensors = _split_optimizer(engine.optimizer.state_dict())
    tensors |= {f"master.{name}": weight.contiguous() for name, weight in weights.items()}
    tensors["random.torch"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors |= {f"random.cuda.{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    save_file(tensors, folder / STATE_TENSORS)
    record = {
        "progress": asdict(progress),
        "optimizer": facts,
        "schedule": {key: value for key, value in engine.schedule.state_dict().items() if _is_plain(value)},
        "scaler": engine.scaler_state(),
        "python_random": random.getstate(),
    }
    (folder / STATE_FACTS).write_text(json.dumps(record), encoding="utf-8")


def _split_optimizer(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """An optimizer's state_dict as JSON facts and named tensors."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for index, values in state["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{key}"] = value.detach().cpu().contiguous()
            else:
                numbers.setdefault(str(index), {})[key] = value
    return {"param_groups": state["param_groups"], "numbers": numbers}, tensors


def _join_optimizer(facts: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in facts["numbers"].items()}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = tensor
    return {"state": state, "param_groups": facts["param_groups"]}


def _restore_random(python_state: list[Any], tensors: dict[str, Tensor]) -> None:
    version, internal, gauss = python_state
    random.setstate((version, tuple(internal), gauss))
    torch.set_rng_state(tensors["random.torch"])
    devices = [tensor for name, tensor in sorted(tensors.items()) if name.startswith("random.cuda.")]
    if devices and torch.cuda.is_available() and torch.cuda.device_count() == len(devices):
        torch.cuda.set_rng_state_all(devices)


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True


def _sync(folder: Path) -> None:
    """Push every file of the folder to the disk before the marker vouches for them."""
    for path in folder.iterdir():
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
