"""Files that a page sends: taken in piece by piece, bounded, and in place only when they are whole."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from fastapi import Request

from tunesmith.errors import UserError
from tunesmith.runs.files import told_plainly
from tunesmith.web.studio import Studio

MOST_BYTES = 8 << 30
_LEFT_FREE = 512 << 20


async def receive(request: Request, folder: Path, name: str, studio: Studio) -> Path:
    """Write the request's body to `folder/name`, or to the next free name; UserError where it is too large."""
    plain = Path(name.replace("\\", "/")).name.strip()
    if not plain or plain.startswith(".") or any(ord(char) < 32 or char in '<>:"|?*' for char in plain):
        raise UserError(f"A file can't be called {name!r}.", hint="Rename it, and upload it again.", field="name")
    with told_plainly(folder):
        folder.mkdir(parents=True, exist_ok=True)
        room = min(MOST_BYTES, shutil.disk_usage(folder).free - _LEFT_FREE)
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > room:
        raise _too_large(plain, room)
    path = _free(studio.workspace.inside(folder / plain))
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    written = 0
    try:
        with aside.open("wb") as file:
            async for piece in request.stream():
                written += len(piece)
                if written > room:
                    raise _too_large(plain, room)
                file.write(piece)
        if not written:
            raise UserError(f"{plain} is empty.", field="name")
        aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    return path


def _too_large(name: str, room: int) -> UserError:
    return UserError(
        f"{name} is too large: there is room for {max(room, 0) >> 20:,} MB.",
        hint="Copy it into the workspace yourself, and add it by its path.",
        field="name",
    )


def _free(path: Path) -> Path:
    number, candidate = 2, path
    while candidate.exists():
        candidate, number = path.with_name(f"{path.stem}_{number}{path.suffix}"), number + 1
    return candidate
