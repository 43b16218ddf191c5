"""Plain text: paragraphs, and lines that name a chapter, an act or a scene."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tunesmith.authoring.document import READERS, Block, Heading, Passage, read_as
from tunesmith.data.encoding import detect_encoding
from tunesmith.errors import UserError

_LONGEST_LINE = 1 << 20  # characters; a text without line ends is cut there
_LONGEST_BLOCK = 4000  # characters; lines that run on without a blank one are taken one by one beyond it
_NUMBER = r"[0-9０-９〇零一二三四五六七八九十百千两兩IVXLCivxlc]+"
# Outermost first. A line is a heading only when it is short and stands for itself.
_LEVELS = (
    re.compile(rf"^(第\s*{_NUMBER}\s*[部卷编編集篇]|(BOOK|PART|VOLUME)\s+(\w+)$|(Book|Part|Volume)\s+{_NUMBER}\b)"),
    re.compile(
        rf"^(第\s*{_NUMBER}\s*[章回节節话話幕折]|楔子$|序[章言幕]?$|前言$|[后後]记$|[后後]記$|尾[声聲]$|番外"
        rf"|(CHAPTER|ACT)\s+\w+|(Chapter|Act)\s+{_NUMBER}\b"
        r"|(Prologue|Epilogue|Preface|Introduction|PROLOGUE|EPILOGUE|PREFACE|INTRODUCTION)\.?$)"
    ),
    re.compile(rf"^(第\s*{_NUMBER}\s*[场場]|(SCENE|Scene)\s+\w+)"),
)
_LONGEST_HEADING = 60


@READERS.member(".txt", ".text", ".log")
def read_text(path: Path) -> Iterator[Block]:
    encoding = detect_encoding(path)
    yield from read_as(path, encoding)
    block: list[str] = []
    length = 0
    for line in _lines(path, encoding):
        level = heading_level(line)
        if level is not None or not line.strip() or length > _LONGEST_BLOCK:
            yield from _passages(block)
            block, length = [], 0
        if level is not None:
            yield Heading(level, line)
        elif line.strip():
            block.append(line)
            length += len(line)
    yield from _passages(block)


def heading_level(line: str) -> int | None:
    """1 … 3 where a line names a part, chapter or scene; None where it does not."""
    text = line.strip()
    if not text or len(text) > _LONGEST_HEADING or text[-1] in "。，,；;：”」":
        return None
    return next((level for level, pattern in enumerate(_LEVELS, 1) if pattern.match(text)), None)


def _passages(block: list[str]) -> Iterator[Passage]:
    """The lines between two blank ones: one passage, or, where they run on and on, one each."""
    if sum(map(len, block)) > _LONGEST_BLOCK or _indented(block):
        yield from (Passage(line.strip()) for line in block)
    elif block:
        yield Passage("\n".join(block).strip())


def _indented(block: list[str]) -> bool:
    """Whether every line begins a paragraph, as Chinese books mark it with two wide spaces."""
    return len(block) > 1 and all(line.startswith(("\u3000", "    ", "\t")) for line in block)


def _lines(path: Path, encoding: str) -> Iterator[str]:
    with path.open(encoding=encoding) as file:
        try:
            while line := file.readline(_LONGEST_LINE):
                yield line.rstrip()
        except UnicodeError as error:
            raise UserError(
                f"{path} looks like {encoding.upper()} and has bytes that are not ({error}).",
                hint="Save the file as UTF-8.",
            ) from None
