"""Writing that is never seen half done, and reading that forgives what a killed process left."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tunesmith.errors import UserError, code_of
from tunesmith.runs.processes import is_alive

_HINTS = {
    errno.ENOSPC: "The disk is full: free some space or choose a folder on another disk.",
    errno.EDQUOT: "Your disk quota is used up: free some space or choose a folder elsewhere.",
    errno.EROFS: "The file system is read-only: choose a folder elsewhere.",
    errno.EACCES: "You may not write there: choose a folder that you own.",
    errno.EPERM: "You may not write there: choose a folder that you own.",
    errno.ENOTDIR: "A part of the path is a file, not a folder: choose a folder elsewhere.",
    errno.EEXIST: "A file of that name is in the way: choose a folder elsewhere.",
    errno.ENAMETOOLONG: "The path is too long for this file system: choose a folder with a shorter path.",
}


@contextmanager
def told_plainly(path: Path, field: str | None = "output_dir") -> Iterator[None]:
    """Turn a failing write under `path` into a UserError that says what to do. field: the option that names it."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "Check the disk and the rights of the folder.")
        reason = error.strerror or str(error)
        raise UserError(f"Can't write {path}: {reason}.", hint=hint, field=field, code=code_of(error)) from error


def aside_of(path: Path) -> Path:
    """Where this process writes what is to become `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def clear_dead_asides(path: Path) -> None:
    """Remove what processes of this machine that no longer run have left beside `path`."""
    own = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.part(\.\w+)?")
    for beside in path.parent.iterdir():
        found = own.fullmatch(beside.name)
        if found and not is_alive(int(found[1]), None):
            beside.unlink(missing_ok=True)


def replace_text(path: Path, text: str, *, durable: bool = True, field: str | None = "output_dir") -> None:
    """Write `text` aside and put it in place at once, so that a reader sees the old or the new, never a part.

    durable: also survive a power cut (fsync); progress that comes every second does without. field: see told_plainly.
    """
    aside = aside_of(path)
    with told_plainly(path, field):
        try:
            with aside.open("w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            _replace(aside, path)
        except BaseException:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise


def _replace(aside: Path, path: Path) -> None:
    # On Windows a reader that has the file open makes replace fail for a moment.
    for pause in (0.01, 0.03, 0.1, 0.3):
        try:
            aside.replace(path)
            return
        except PermissionError:
            if os.name != "nt":
                raise
            time.sleep(pause)
    aside.replace(path)


def replace_json(path: Path, record: Mapping[str, Any], *, durable: bool = True) -> None:
    replace_text(path, json.dumps(_plain(record), ensure_ascii=False, indent=1) + "\n", durable=durable)


def overwrite_json(path: Path, record: Mapping[str, Any]) -> None:
    """Change a small file where it lies: needs no room on a full disk, but a reader may see a part of it."""
    with told_plainly(path), path.open("r+b") as file:
        file.write(json.dumps(_plain(record), ensure_ascii=False, indent=1).encode("utf-8") + b"\n")
        file.truncate()


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append one JSON line in a single write; a half line left by a killed process is closed off first."""
    line = json.dumps(_plain(record), ensure_ascii=False).encode("utf-8") + b"\n"
    with told_plainly(path), path.open("ab+") as file:
        if file.seek(0, os.SEEK_END) > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = b"\n" + line
        file.write(line)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, or None when the file is missing, unreadable or holds something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


class JsonlTail:
    """Reads a growing jsonl file, each time only what is new.

    A last line without its newline is left for later; a line that is no JSON object is skipped and counted.
    `offset` (bytes) may be kept and given back, so that a reader can go on after it was gone.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.skipped = 0

    def read_new(self) -> list[dict[str, Any]]:
        try:
            with self.path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self.offset:
                    self.offset = 0  # the file was started afresh
                file.seek(self.offset)
                block = file.read()
        except OSError:
            return []
        whole = block[: block.rfind(b"\n") + 1]
        self.offset += len(whole)
        return list(self._records(whole))

    def _records(self, block: bytes) -> Iterator[dict[str, Any]]:
        for line in block.splitlines():
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if isinstance(record, dict):
                yield record
            else:
                self.skipped += 1


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: paths as text, tensor scalars as numbers, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if not isinstance(value, float):
        value = _as_number(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _as_number(value: Any) -> Any:
    if hasattr(value, "tolist"):  # torch and numpy
        return _plain(value.tolist())
    return str(value)
