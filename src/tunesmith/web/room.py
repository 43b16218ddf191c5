"""How much room a disk has left, and which runs of the workspace could give some back."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel

from tunesmith.web.studio import Studio

_MOST = 5
_ENDED = frozenset({"finished", "failed", "stopped", "killed"})


class Taken(BaseModel):
    """The checkpoints of a run that has ended."""

    run: str
    name: str
    checkpoints: int
    bytes: int


class Room(BaseModel):
    """free: bytes. taken: the largest first."""

    free: int
    taken: list[Taken]


def room_of(studio: Studio, folder: Path) -> Room:
    """The disk that the folder is on, and the checkpoints in the workspace."""
    found = []
    for summary in studio.look().runs:
        if summary.kind != "train" or summary.status not in _ENDED:
            continue
        checkpoints = [one.path for one in studio.workspace.run(summary.id).checkpoints()]
        size = sum(map(size_of, checkpoints))
        if size:
            found.append(Taken(run=summary.id, name=summary.name, checkpoints=len(checkpoints), bytes=size))
    found.sort(key=lambda one: one.bytes, reverse=True)
    return Room(free=shutil.disk_usage(folder).free, taken=found[:_MOST])


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = [path] if path.is_file() else (Path(place, name) for place, _, names in os.walk(path) for name in names)
    total = 0
    for file in files:
        with suppress(OSError):
            total += file.stat().st_size
    return total
