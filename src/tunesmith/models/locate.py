"""From what the user calls a model (hub id, folder, GGUF file) to a place on this machine that holds it whole."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunesmith.config.job import short_model_name
from tunesmith.config.model import ModelConfig
from tunesmith.errors import UserError, did_you_mean
from tunesmith.models.hub import download_model, looks_like_hub_id
from tunesmith.models.shards import read_header, weight_files
from tunesmith.runs.layout import is_run

FIELD = "model_name_or_path"


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on this machine.

    path: a folder with config.json and safetensors, or a GGUF file. name: short, for folders and titles.
    repository: the hub id it came from, if it did.
    """

    path: Path
    kind: Literal["folder", "gguf"]
    name: str
    repository: str | None = None


def locate(model: ModelConfig) -> LocalModel:
    """The model on this machine, downloaded first if it is on a hub. UserError says what is wrong with it."""
    asked = model.model_name_or_path.strip()
    if not asked:
        raise UserError(
            "No model is named.", hint="Give a hub id, a folder or a .gguf file, e.g. Qwen/Qwen3-0.6B.", field=FIELD
        )
    path = Path(asked).expanduser()
    name = short_model_name(asked)
    if path.is_file():
        return LocalModel(_checked_file(path), "gguf", name)
    if path.is_dir():
        return LocalModel(_checked_folder(_snapshot_in(path), model), "folder", name)
    if error := missing_place(asked):
        raise error
    folder = download_model(asked, model, near=_neighbours(path))
    return LocalModel(_checked_folder(folder, model, repository=asked), "folder", name, asked)


def missing_place(asked: str, *, field: str = FIELD) -> UserError | None:
    """What to say where a name can only mean a place on this machine, and nothing is there. None for all else."""
    path = Path(asked).expanduser()
    if path.exists() or (looks_like_hub_id(asked) and not _below_a_folder_here(path)):
        return None
    noun = "file" if asked.lower().endswith(".gguf") else "folder"
    return UserError(f"There is no {noun} {asked}.", hint=_neighbours(path) or _surroundings(path), field=field)


def _below_a_folder_here(path: Path) -> bool:
    """Whether `first/second` is rather a path than a hub id: `first` is where runs are saved, or a folder here.

    A folder that holds whole models may be called as their owner on the hub is, who has more of them.
    """
    if len(path.parts) < 2:
        return False
    first = Path(path.parts[0])
    models = (config.parent for config in first.glob("*/config.json"))
    return first.name == "saves" or (first.is_dir() and all(map(is_run, models)))


def _neighbours(path: Path) -> str:
    """What the user may have meant: names beside the missing one that resemble it."""
    return did_you_mean(path.name, _beside(path), lambda name: str(path.parent / name))


def _surroundings(path: Path) -> str:
    """What there is where the path leads, or how far it exists."""
    if path.parent.is_dir():
        names = sorted(name for name in _beside(path) if not name.startswith("."))
        return f"{path.parent.absolute()} holds {_listed(names) or 'no models'}."
    existing = next(up for up in path.absolute().parents if up.is_dir())
    return f"The path exists up to {existing}."


def _beside(path: Path) -> list[str]:
    """Folders and GGUF files where the path leads."""
    if not path.parent.is_dir():
        return []
    return [entry.name for entry in path.parent.iterdir() if entry.is_dir() or entry.suffix == ".gguf"]


def _checked_file(path: Path) -> Path:
    with path.open("rb") as file:
        if file.read(4) == b"GGUF":
            return path
    if path.suffix in (".safetensors", ".json", ".bin"):
        hint = f"Give the folder that holds it: model_name_or_path: {path.parent}"
    elif path.suffix == ".gguf":
        hint = "The file is damaged or is only a pointer to the real one; download it again."
    else:
        hint = "A model is a folder with config.json and .safetensors files, or a .gguf file."
    raise UserError(f"{path} is not a GGUF file.", hint=hint, field=FIELD)


def _snapshot_in(path: Path) -> Path:
    """The snapshot inside a folder of the hub's cache (models--owner--name, or its snapshots); else the path itself."""
    root = path.parent if path.name == "snapshots" else path
    snapshots = root / "snapshots"
    if (path / "config.json").exists() or not snapshots.is_dir():
        return path
    reference = root / "refs" / "main"
    if reference.is_file():
        snapshot = snapshots / reference.read_text(encoding="utf-8").strip()
        if snapshot.is_dir():
            return snapshot
    found = [entry for entry in snapshots.iterdir() if entry.is_dir()]
    if not found:
        raise UserError(f"{snapshots} is empty: the download never finished.", hint="Download it again.", field=FIELD)
    return max(found, key=lambda entry: entry.stat().st_mtime)


def _checked_folder(path: Path, model: ModelConfig, repository: str | None = None) -> Path:
    shown = repository or str(path)
    if not (path / "config.json").is_file():
        _explain_missing_config(path, shown)
    if model.train_from_scratch:
        return path
    shards = weight_files(path)
    if not shards:
        _explain_missing_weights(path, shown)
    for shard in shards:
        read_header(shard)  # a damaged file is told now, not in the middle of loading
    return path


def _explain_missing_config(path: Path, shown: str) -> None:
    """Raise the UserError that fits a folder without config.json."""
    adapter = path / "adapter_config.json"
    if adapter.is_file():
        base = json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path") or "its base model"
        raise UserError(
            f"{shown} is an adapter, not a model: it was trained on {base}.",
            hint=f"Set model_name_or_path: {base} and adapter_name_or_path: {shown}",
            field=FIELD,
        )
    ggufs = sorted(path.glob("*.gguf"))
    if ggufs:
        raise UserError(
            f"{shown} holds GGUF files and no model folder.",
            hint=f"Name the file itself: {ggufs[0]}",
            field=FIELD,
        )
    kinds = ("*/config.json", "*/adapter_config.json", "*/*/config.json", "*/*/adapter_config.json")
    below = [entry.parent for kind in kinds for entry in sorted(path.glob(kind))]
    hint = f"Did you mean {' or '.join(map(str, below[:3]))}?" if below else _contents(path)
    raise UserError(f"{shown} is not a model: it has no config.json.", hint=hint, field=FIELD)


def _explain_missing_weights(path: Path, shown: str) -> None:
    """Raise the UserError that fits a folder without safetensors."""
    pickled = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in path.glob(pattern))
    if pickled:
        target = f"{path}-safetensors"
        raise UserError(
            f"{shown} has its weights only as {pickled[0]}, a pickle, which can run code when it is opened; "
            "safetensors are read here and nothing else.",
            hint="If you trust its author, convert it once with "
            "`python -c \"import transformers as t; [kind.from_pretrained(r'"
            f"{path}').save_pretrained(r'{target}') for kind in (t.AutoModelForCausalLM, t.AutoTokenizer)]\"` "
            f"and use {target}.",
            field=FIELD,
        )
    raise UserError(
        f"{shown} has a config.json but no weights (*.safetensors).",
        hint="Download the model again, or set train_from_scratch: true to start from random weights.",
        field=FIELD,
    )


def _contents(path: Path) -> str:
    names = sorted(os.listdir(path))
    return f"It holds {_listed(names)}." if names else "The folder is empty."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (" …" if len(names) > 6 else "")
