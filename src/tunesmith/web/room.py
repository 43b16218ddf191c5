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
        size = sum(map(_size, checkpoints))
        if size:
            found.append(Taken(run=summary.id, name=summary.name, checkpoints=len(checkpoints), bytes=size))
    found.sort(key=lambda one: one.bytes, reverse=True)
    return Room(free=shutil.disk_usage(folder).free, taken=found[:_MOST])


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(place, name)).st_size
    return total
