"""Files that a page sends: taken in piece by piece, bounded, in place when they are whole; data sets registered."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
from fastapi import Request

from tunesmith.authoring.catalog_file import check_name, edited
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
    wanted = studio.workspace.inside(folder / plain)
    aside = wanted.with_name(f".{secrets.token_hex(8)}.{os.getpid()}.part")
    written = 0
    try:
        with aside.open("wb") as file:
            async for piece in request.stream():
                written += len(piece)
                if written > room:
                    raise _too_large(plain, room)
                await anyio.to_thread.run_sync(file.write, piece)
        if not written:
            raise UserError(f"{plain} is empty.", field="name")
        path = _claim(wanted)
        try:
            aside.replace(path)
        except OSError:
            path.unlink(missing_ok=True)
            raise
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    return path


def register(folder: Path, wanted: str, entry: dict[str, Any]) -> str:
    """Add an entry under the name, or the next that is free."""
    folder.mkdir(parents=True, exist_ok=True)
    with edited(folder) as catalog:
        for known, before in catalog.entries.items():
            if before == entry:
                return known
        plain = check_name(re.sub(r'[,/\\:*?"<>|=]', "-", wanted).strip() or "data")
        name, number = plain, 2
        while name in catalog.entries:
            name, number = f"{plain}_{number}", number + 1
        catalog.put(name, entry)
    return name


def _too_large(name: str, room: int) -> UserError:
    return UserError(
        f"{name} is too large: there is room for {max(room, 0) >> 20:,} MB.",
        hint="Copy it into the workspace yourself, and add it by its path.",
        field="name",
    )


def _claim(path: Path) -> Path:
    """The path, or the next that is free, as an empty file: of two uploads of one name each gets its own."""
    number, candidate = 2, path
    while True:
        try:
            candidate.open("xb").close()
            return candidate
        except FileExistsError:
            candidate, number = path.with_name(f"{path.stem}_{number}{path.suffix}"), number + 1
