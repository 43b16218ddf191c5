"""Subtitles: what is said, in order, with the speaker where the file names one; a pause begins a new passage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tunesmith.authoring.document import READERS, Block, Passage, read_as
from tunesmith.data.encoding import decode_file
from tunesmith.errors import UserError

_PAUSE = 4000  # milliseconds
_LONGEST = 800  # characters
_VOICE = re.compile(r"<v(?:\.[\w.]+)?\s+([^>]+)>")
_TAG = re.compile(r"</?[a-zA-Z][^>]*>|\{\\[^}]*\}")


@READERS.member(".srt", ".vtt", ".ass", ".ssa")
def read_subtitles(path: Path) -> Iterator[Block]:
    import pysubs2

    text, encoding = decode_file(path)
    yield from read_as(path, encoding)
    text = _VOICE.sub(r"\1: ", text)  # before the parser takes the tag away
    try:
        cues = pysubs2.SSAFile.from_string(text, format_=path.suffix.lower().lstrip("."))
    except pysubs2.Pysubs2Error as error:
        raise UserError(f"{path} is damaged or no subtitle file ({error}).") from None
    lines: list[str] = []
    end = 0
    for cue in sorted((cue for cue in cues if not cue.is_comment), key=lambda cue: cue.start):
        said = " ".join(_TAG.sub("", cue.plaintext).split())
        if not said:
            continue
        if lines and (cue.start - end > _PAUSE or sum(map(len, lines)) > _LONGEST):
            yield Passage("\n".join(lines))
            lines = []
        lines.append(f"{cue.name}: {said}" if cue.name else said)
        end = max(end, cue.end)
    yield Passage("\n".join(lines))
