"""What dialogue is made of: paragraphs of scenes, and the lines spoken in them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tunesmith.authoring.chunk import JOIN
from tunesmith.authoring.document import Passage

Attribution = Literal["named", "turn", "model", ""]
"""How the speaker is known: named in the text, by taking turns with another, told by a model, not at all."""

_SCENE = re.compile(
    r"^\s*(?:第[一二三四五六七八九十百零〇\d]+[幕场場回集章节節折卷]|场景[\d一二三四五六七八九十：:]|場景[\d一二三四五六七八九十：:]"
    r"|(?:ACT|SCENE|Act|Scene|CHAPTER|Chapter)\s+[\dIVXLC]+|(?:INT|EXT)[./]|[*＊]\s*[*＊]\s*[*＊]|-{3,}\s*$)"
)
_LONGEST_HEADING = 80


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A line of the source. start: its place in the document's text (see `chunk`). scene: counted from 0."""

    text: str
    start: int
    scene: int
    heading: tuple[str, ...]
    page: int | None
    follows: bool
    """It stands directly below the one before, without a blank line between."""
    opens_scene: bool


@dataclass(frozen=True, slots=True)
class Line:
    """What somebody says. speaker: as the text calls them, None where that is not known. start, end: in the document.

    paragraph: which one it begins in.
    """

    text: str
    speaker: str | None
    attribution: Attribution
    start: int
    end: int
    scene: int
    paragraph: int


def paragraphs(passages: Iterable[Passage]) -> list[Paragraph]:
    """The lines of a document that hold something. A scene ends at a heading and where the text says so."""
    found: list[Paragraph] = []
    at, scene, heading = 0, 0, None
    for passage in passages:
        changed = heading is not None and passage.heading != heading
        scene += changed
        heading = passage.heading
        inside = at
        follows = False
        for text in passage.text.split("\n"):
            if text.strip():
                opens = len(text) <= _LONGEST_HEADING and _SCENE.match(text) is not None
                scene += opens and bool(found)
                found.append(Paragraph(text, inside, scene, passage.heading, passage.page, follows, opens))
            follows = bool(text.strip())
            inside += len(text) + 1
        at += len(passage.text) + len(JOIN)
    return found
