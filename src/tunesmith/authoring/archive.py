"""Documents that are zip files (Office, EPUB), opened with care: locked ones, damaged ones and zip bombs are told."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tunesmith.errors import UserError

_MOST_UNPACKED = 1 << 30
_MOST_READ_WHOLE = 128 << 20  # of parts that are read as a tree, which takes twenty times their size in memory
_TEXTS = (".xml", ".rels", ".html", ".htm", ".xhtml", ".opf", ".bin")
_BOMB_RATIO = 60  # XML of real documents shrinks to a tenth or a thirtieth
_BOMB_BYTES = 8 << 20
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def check_archive(path: Path, *, streamed: bool = False) -> None:
    """UserError where a document is no zip file, is locked with a password, or would unpack to something monstrous.

    streamed: its reader holds little of it at a time.
    """
    with path.open("rb") as file:
        head = file.read(8)
    if head == _OLE:
        raise UserError(
            f"{path} is locked with a password, or is in the old Office format under a new name.",
            hint="Open it in Office, save it without a password as "
            f"{path.suffix.lower() or 'a new file'}, and use that.",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError(
            f"{path} is damaged or no {path.suffix.lower()} file ({error}).",
            hint="Open it in the program it comes from and save it anew, or download it again.",
        ) from None
    if any(part.flag_bits & 1 for part in parts):
        raise UserError(f"{path} is locked with a password.", hint="Save it without a password.")
    texts = [part for part in parts if part.filename.lower().endswith(_TEXTS)]
    unpacked, packed = sum(part.file_size for part in parts), path.stat().st_size
    read = sum(part.file_size for part in texts if not part.filename.lower().endswith(".bin"))
    swells = any(part.file_size > max(_BOMB_BYTES, _BOMB_RATIO * part.compress_size) for part in texts)
    if unpacked > _MOST_UNPACKED or swells or (read > _MOST_READ_WHOLE and not streamed):
        raise UserError(
            f"{path} has {packed:,} bytes and would unpack to {unpacked:,}: this is not read.",
            hint="If it is a real document, save its parts as separate files.",
        )
