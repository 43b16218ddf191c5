"""The folder that an export writes: never half, and never in place of what is not its own."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunesmith.errors import UserError
from tunesmith.export.weights import Source
from tunesmith.runs.environment import versions
from tunesmith.runs.files import read_json
from tunesmith.runs.processes import is_alive

FIELD = "export_dir"
MARKER = "tunesmith_export.json"


def check_target(folder: Path) -> None:
    """UserError where something lies that no export wrote."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file()):
        raise UserError(
            f"{folder} is there already, and is no earlier export.",
            hint="Choose another export_dir, or remove it yourself.",
            field=FIELD,
            code="in_use",
        )


def beside(folder: Path, kind: str) -> Path:
    """A name next to the folder, hidden, of this process's own. kind: `part` is being made, `old` is being replaced."""
    folder = folder.absolute()
    return folder.with_name(f".{folder.name}.{os.getpid()}.{kind}")


def clear_leftovers(folder: Path) -> None:
    """What killed exports left of a folder or file: what was half written goes, an earlier export that was being
    replaced comes back."""
    folder = folder.absolute()
    named = re.compile(rf"\.{re.escape(folder.name)}\.(\d+)\.(part|old)")
    for left in list(folder.parent.iterdir()):
        match = named.fullmatch(left.name)
        if match is None or (is_alive(int(match[1]), None) and int(match[1]) != os.getpid()):
            continue
        if match[2] == "old" and not folder.exists():
            left.replace(folder)
        else:
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def put_in_place(aside: Path, folder: Path) -> None:
    """Let what was made aside be the folder at once. Of an earlier export only what that wrote itself is replaced."""
    told = read_json(aside / MARKER) or {}
    known = {"files": sorted(file.name for file in aside.iterdir()), "beside": _beside_files(folder)}
    write_json(aside / MARKER, told | known)
    _carry_over(folder, aside)
    old = beside(folder, "old")
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
    sync(folder.absolute().parent)
    shutil.rmtree(old, ignore_errors=True)


def _carry_over(folder: Path, aside: Path) -> None:
    """Files that no earlier checkpoint there wrote and this one does not write: GGUF files, and the user's own."""
    if not folder.is_dir():
        return
    own = (read_json(folder / MARKER) or {}).get("files", [])
    for kept in folder.iterdir():
        if kept.name in own or (aside / kept.name).exists():
            continue
        if kept.is_dir():
            shutil.copytree(kept, aside / kept.name, copy_function=_linked)
        else:
            _linked(kept, aside / kept.name)


def _linked(file: str | Path, place: str | Path) -> None:
    """The same file under another name; a copy where the disk knows no links."""
    try:
        os.link(file, place)
    except OSError:
        shutil.copy2(file, place)


def mark(folder: Path, source: Source) -> None:
    """Say in a folder that an export wrote it, and of what; a later export may go there then."""
    with told_plainly(folder):
        folder.mkdir(parents=True, exist_ok=True)
        known = (read_json(folder / MARKER) or {}).get("files", [])
        write_json(folder / MARKER, lineage(source) | {"files": known, "beside": _beside_files(folder)})


def remember_files(folder: Path, names: Iterable[str]) -> None:
    """Say in a marked folder that exports wrote these files beside the checkpoint."""
    told = read_json(folder / MARKER) or {}
    with told_plainly(folder):
        write_json(folder / MARKER, told | {"beside": sorted({*names, *_beside_files(folder)})})


def earlier_files(folder: Path) -> list[Path]:
    """What earlier exports wrote beside a checkpoint and is still there."""
    return [folder / name for name in _beside_files(folder) if (folder / name).is_file()]


def _beside_files(folder: Path) -> list[str]:
    return list((read_json(folder / MARKER) or {}).get("beside", []))


def lineage(source: Source) -> dict[str, Any]:
    """What an export was made of."""
    return {
        "base": source.base,
        "adapters": [str(folder) for folder in source.adapters],
        "adapter_settings": [read_json(folder / "adapter_config.json") for folder in source.adapters],
        "notes": list(source.notes),
        "versions": versions(("tunesmith", "torch", "transformers", "peft")),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """A small file, readable for people too."""
    path.write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8", newline="\n")


def sync(path: Path) -> None:
    """On the disk, and not only in the system's memory."""
    if path.is_dir() and os.name == "nt":
        return  # folders can't be opened there
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def told_plainly(folder: Path) -> Iterator[None]:
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
