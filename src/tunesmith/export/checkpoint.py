"""A model written as a folder that transformers loads: weight by weight, aside, and under its name only when whole."""

from __future__ import annotations

import errno
import json
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tunesmith.errors import UserError
from tunesmith.export.companions import write_companions
from tunesmith.export.target import (
    FIELD,
    MARKER,
    beside,
    check_target,
    clear_leftovers,
    lineage,
    put_in_place,
    sync,
    told_plainly,
    write_json,
)
from tunesmith.export.weights import Source, Weight
from tunesmith.models.weights import DTYPES

_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_SIDE_FILES = 64 << 20  # bytes; tokenizers are the largest
_PROCESS = 600 << 20  # bytes that torch and transformers take before any weight


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes that writing a model takes; disk is free space, memory that of the process."""

    disk: int
    memory: int


def preflight(source: Source, folder: Path, *, shard_bytes: int = 0, legacy: bool = False) -> Needs:
    """What `write_checkpoint` will take. UserError if the disk has not as much, or `folder` is not to be replaced.

    shard_bytes matters with `legacy` alone: a pickled shard is in memory as a whole.
    """
    check_target(folder)
    whole_shard = min(max(shard_bytes, source.largest), source.nbytes) if legacy else 0
    needs = Needs(source.nbytes + _SIDE_FILES, _PROCESS + 2 * source.largest + whole_shard)
    existing = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(existing).free
    if free < needs.disk:
        raise UserError(
            f"{folder} needs {_gigabytes(needs.disk)} and its disk has {_gigabytes(free)} free.",
            hint="Free some space, or choose an export_dir on another disk.",
            field=FIELD,
        )
    return needs


def write_checkpoint(
    source: Source,
    folder: Path,
    *,
    shard_bytes: int,
    legacy: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write the model into `folder` and return its files.

    shard_bytes: most bytes of weights in one file; a larger weight has a file of its own. legacy: pickled `.bin` files.
    report: called with the bytes written and all bytes after each weight.

    All is written into a folder aside, synced, and renamed at the end: whatever happens before, `folder` is not there
    or is what it was. UserError for a full disk, and for a folder in the way that is no earlier export.
    """
    check_target(folder)
    with told_plainly(folder):
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder)
    aside = beside(folder, "part")
    try:
        with told_plainly(folder):
            aside.mkdir()
            write_companions(source, aside)
        _write_weights(source, aside, shard_bytes, legacy, folder, report)
        with told_plainly(folder):
            write_json(aside / MARKER, lineage(source))
            for file in aside.iterdir():
                sync(file)
            sync(aside)
            put_in_place(aside, folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return sorted(folder.iterdir())


def _write_weights(
    source: Source, aside: Path, shard_bytes: int, legacy: bool, folder: Path, report: Callable[[int, int], None]
) -> None:
    shards = plan_shards(source.weights, shard_bytes)
    stem, suffix = ("pytorch_model", "bin") if legacy else ("model", "safetensors")
    places, done = {}, 0
    for number, shard in enumerate(shards, 1):
        part = f"-{number:05}-of-{len(shards):05}" if len(shards) > 1 else ""
        name = f"{stem}{part}.{suffix}"
        for weight in (_pickle_shard if legacy else _write_shard)(shard, aside / name, folder):
            places[weight.name] = name
            done += weight.nbytes
            report(done, source.nbytes)
    if len(shards) > 1:
        index = {"metadata": {"total_size": source.nbytes}, "weight_map": dict(sorted(places.items()))}
        with told_plainly(folder):
            write_json(aside / f"{stem}.{suffix}.index.json", index)


def plan_shards(weights: Sequence[Weight], most: int) -> list[list[Weight]]:
    """The weights, in order, in runs of at most `most` bytes each."""
    shards: list[list[Weight]] = [[]]
    size = 0
    for weight in weights:
        if shards[-1] and size + weight.nbytes > most:
            shards.append([])
            size = 0
        shards[-1].append(weight)
        size += weight.nbytes
    return shards


def _write_shard(shard: Sequence[Weight], path: Path, folder: Path) -> Iterator[Weight]:
    """One safetensors file, header first. Yields each weight once it is written.

    Wide elements come first, so that every tensor begins at a multiple of its element's size.
    """
    ordered = sorted(shard, key=lambda weight: -weight.dtype.itemsize)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for weight in ordered:
        start, end = end, end + weight.nbytes
        header[weight.name] = {"dtype": _NAMES[weight.dtype], "shape": weight.shape, "data_offsets": (start, end)}
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with told_plainly(folder):
        file = path.open("wb", buffering=0)
    with file:
        with told_plainly(folder):
            _write_all(file, struct.pack("<Q", len(text)) + text)
        for weight in ordered:
            tensor = _read(weight)
            with told_plainly(folder):
                _write_all(file, tensor.reshape(-1).view(torch.uint8).numpy().data)
            del tensor
            yield weight


def _pickle_shard(shard: Sequence[Weight], path: Path, folder: Path) -> Iterator[Weight]:
    tensors = {weight.name: _read(weight) for weight in shard}
    with told_plainly(folder):
        try:
            torch.save(tensors, path)
        except RuntimeError as error:  # the C++ writer's own kind of OSError
            raise OSError(errno.ENOSPC, "the file can't be written whole") from error
    yield from shard


def _read(weight: Weight) -> Tensor:
    try:
        tensor = weight.read()
    except (OSError, EOFError) as error:
        raise UserError(
            f"{weight.name} can't be read: {error}",
            hint="The base's or the adapter's files changed or are damaged; copy them again.",
            field="model_name_or_path",
        ) from error
    assert tuple(tensor.shape) == weight.shape and tensor.dtype == weight.dtype, weight.name
    return tensor.contiguous()


def _write_all(file: Any, data: bytes | memoryview) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
