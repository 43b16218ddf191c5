"""A model written as a folder that transformers loads: weight by weight, aside, and under its name only when whole."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tunesmith.errors import UserError
from tunesmith.export.companions import write_companions
from tunesmith.export.weights import Source, Weight
from tunesmith.models.weights import DTYPES
from tunesmith.runs.environment import versions
from tunesmith.runs.files import read_json
from tunesmith.runs.processes import is_alive

FIELD = "export_dir"
MARKER = "tunesmith_export.json"
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
    with _told(folder):
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(folder)
    aside = _beside(folder, "part")
    try:
        with _told(folder):
            aside.mkdir()
            write_companions(source, aside)
        _write_weights(source, aside, shard_bytes, legacy, folder, report)
        with _told(folder):
            _write_json(aside / MARKER, _lineage(source))
            for file in aside.iterdir():
                _sync(file)
            _sync(aside)
            _put_in_place(aside, folder)
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
        with _told(folder):
            _write_json(aside / f"{stem}.{suffix}.index.json", index)


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
    with _told(folder):
        file = path.open("wb", buffering=0)
    with file:
        with _told(folder):
            _write_all(file, struct.pack("<Q", len(text)) + text)
        for weight in ordered:
            tensor = _read(weight)
            with _told(folder):
                _write_all(file, tensor.reshape(-1).view(torch.uint8).numpy().data)
            del tensor
            yield weight


def _pickle_shard(shard: Sequence[Weight], path: Path, folder: Path) -> Iterator[Weight]:
    tensors = {weight.name: _read(weight) for weight in shard}
    with _told(folder):
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


def check_target(folder: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file()):
        raise UserError(
            f"{folder} is there already, and is no earlier export.",
            hint="Choose another export_dir, or remove it yourself.",
            field=FIELD,
        )


def _beside(folder: Path, kind: str) -> Path:
    folder = folder.absolute()
    return folder.with_name(f".{folder.name}.{os.getpid()}.{kind}")


def _clear_leftovers(folder: Path) -> None:
    """What killed exports left: half-written folders go, an earlier export that was being replaced comes back."""
    folder = folder.absolute()
    named = re.compile(rf"\.{re.escape(folder.name)}\.(\d+)\.(part|old)")
    for left in list(folder.parent.iterdir()):
        match = named.fullmatch(left.name)
        if match is None or (is_alive(int(match[1]), None) and int(match[1]) != os.getpid()):
            continue
        if match[2] == "old" and not folder.exists():
            left.replace(folder)
        else:
            shutil.rmtree(left)


def _put_in_place(aside: Path, folder: Path) -> None:
    old = _beside(folder, "old")
    if folder.is_dir() and any(folder.iterdir()):
        folder.replace(old)
    elif folder.is_dir():
        folder.rmdir()
    try:
        aside.replace(folder)
    except BaseException:
        if old.exists():
            old.replace(folder)
        raise
    _sync(folder.absolute().parent)
    shutil.rmtree(old, ignore_errors=True)


def mark(folder: Path, source: Source) -> None:
    """Say in a folder that an export wrote it, and of what; a later export may replace it then."""
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / MARKER, _lineage(source))


def _lineage(source: Source) -> dict[str, Any]:
    return {
        "base": source.base,
        "adapters": [str(folder) for folder in source.adapters],
        "adapter_settings": [read_json(folder / "adapter_config.json") for folder in source.adapters],
        "notes": list(source.notes),
        "versions": versions(("tunesmith", "torch", "transformers", "peft")),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _write_json(path: Path, record: dict[str, Any]) -> None:
    path.write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8", newline="\n")


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # folders can't be opened there
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn a failing write into a UserError that says what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise UserError(
            f"Can't write {folder}: {error.strerror or error}.",
            hint="The disk is full: free some space, or choose an export_dir on another disk."
            if full
            else "Check the rights of the folder, or choose another export_dir.",
            field=FIELD,
        ) from error


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
