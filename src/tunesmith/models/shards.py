"""The safetensors files of a model folder: which they are, and whether each is whole. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tunesmith.errors import UserError

FIELD = "model_name_or_path"


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies: dtype as safetensors names it (F32, BF16 …), start and end in bytes of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that make up the model, in the index's order; empty if there are none.

    UserError where the index is damaged or names files that are not there.
    """
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        single = folder / "model.safetensors"
        if single.is_file():
            return [single]
        return sorted(file for file in folder.glob("*.safetensors") if not file.name.startswith("adapter_"))
    names = list(dict.fromkeys(_weight_map(index).values()))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"{folder} is incomplete: {len(missing)} of {len(names)} weight files are missing, first {missing[0]}.",
            hint="Download or copy the model again.",
            field=FIELD,
        )
    return [folder / name for name in names]


def _weight_map(index: Path) -> Mapping[str, str]:
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{index} is damaged: {error}.", hint="Download the model again.", field=FIELD) from error
    assert isinstance(weight_map, dict)
    return weight_map


def read_header(shard: Path) -> dict[str, StoredTensor]:
    """Name → place of every tensor in the file. UserError for a git-lfs pointer, another format or a file cut short.

    Format: https://github.com/huggingface/safetensors#format
    """
    size = shard.stat().st_size
    with shard.open("rb") as file:
        head = file.read(8)
        if head == b"version ":
            raise UserError(
                f"{shard} is a git-lfs pointer, not the weights.",
                hint=f"Run `git lfs pull` in {shard.parent}, or download the model with the hub's own tool.",
                field=FIELD,
            )
        length = int.from_bytes(head, "little")
        try:
            header = json.loads(file.read(length)) if 0 < length < size else None
        except ValueError:
            header = None
    if not isinstance(header, dict):
        raise UserError(f"{shard} is not a safetensors file.", hint="Download the model again.", field=FIELD)
    header.pop("__metadata__", None)
    begin = 8 + length
    found = {
        name: StoredTensor(
            entry["dtype"], tuple(entry["shape"]), begin + entry["data_offsets"][0], begin + entry["data_offsets"][1]
        )
        for name, entry in header.items()
    }
    expected = max((tensor.end for tensor in found.values()), default=begin)
    if size < expected:
        raise UserError(
            f"{shard} is cut short: {size:,} bytes of {expected:,}.", hint="Download or copy it again.", field=FIELD
        )
    return found
