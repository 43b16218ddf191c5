"""Checkpoints: everything a killed run needs to go on as if nothing had happened, without pickle.

A checkpoint is the model or adapter as anyone can load it, plus `training_state.safetensors` (master weights, optimizer
moments) and `training_state.json` (counters, schedule, learning rates). Both are written aside, the
marker last, and the folder is renamed into place: a folder without its marker is never read.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from tunesmith.errors import UserError, code_of
from tunesmith.runs.files import told_plainly
from tunesmith.runs.layout import TRAINING_STATE, RunLayout, complete_marker
from tunesmith.training.engine import Engine

STATE_FACTS = "training_state.json"

SaveModel = Callable[[Path, dict[str, Tensor]], None]
Pending = dict[str, Any]
"""losses: of the steps since the last log line; sums: metric → [sum, count] over them."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come; what the loop itself has to remember.

    step: optimizer steps done. tokens: tokens seen, trained: tokens that carried a loss. loss_sum: of all steps.
    best: best value of the watched metric, best_step where it was, stale: evaluations since without a better one.
    position: where streamed data stands (epoch, rows, units). pending: what is counted but not logged yet.
    """

    step: int = 0
    tokens: int = 0
    trained: int = 0
    loss_sum: float = 0.0
    best: float | None = None
    best_step: int | None = None
    stale: int = 0
    position: tuple[int, int, int] | None = None
    pending: Pending | None = None


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
            code=code_of(error),
        ) from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return folder


def read_checkpoint(folder: Path, engine: Engine) -> Progress:
    """Restore the engine from a checkpoint; UserError if it is not one or does not fit."""
    if not (folder / TRAINING_STATE).is_file():
        found = "holds weights only (save_only_model)" if complete_marker(folder).exists() else "is not complete"
        raise UserError(
            f"Training can't be continued from {folder}: the checkpoint {found}.",
            hint="Name an earlier checkpoint, or start a new run with adapter_name_or_path set to this folder.",
            field="resume_from_checkpoint",
        )
    tensors = load_file(folder / TRAINING_STATE)
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
    engine.optimizer.load_state_dict(_join_optimizer(facts["optimizer"], tensors))
    engine.schedule.load_state_dict(facts["schedule"])
    engine.load_scaler_state(facts["scaler"])
    return Progress(**facts["progress"])


def keep_as_result(checkpoint: Path, folder: Path) -> None:
    """Copy the model or adapter of a checkpoint, without its training state, into `folder`, the weights last."""
    own = (TRAINING_STATE, STATE_FACTS, complete_marker(checkpoint).name)
    files = [path for path in checkpoint.iterdir() if path.is_file() and path.name not in own]
    with told_plainly(folder):
        for path in sorted(files, key=lambda path: (path.suffix == ".safetensors", path.name)):
            aside = folder / f".{path.name}.part"
            shutil.copyfile(path, aside)
            aside.replace(folder / path.name)


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
    save_file(tensors, folder / TRAINING_STATE)
    record = {
        "progress": asdict(progress),
        "optimizer": facts,
        "schedule": {key: value for key, value in engine.schedule.state_dict().items() if _is_plain(value)},
        "scaler": engine.scaler_state(),
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
