"""Word documents: paragraphs, lists, tables and text boxes in reading order, then the notes at the foot."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.authoring.archive import check_archive
from tunesmith.authoring.document import READERS, Block, Heading, Passage, Title

_HEADING = re.compile(r"^(?:heading|标题|標題|überschrift|titre|見出し)\s*(\d)$", re.IGNORECASE)
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_NOTES = {"footnotes": "Footnotes", "endnotes": "Endnotes"}


@READERS.member(".docx")
def read_docx(path: Path) -> Iterator[Block]:
    from docx import Document
    from docx.table import Table

    check_archive(path)
    document = Document(str(path))
    if document.core_properties.title:
        yield Title(document.core_properties.title)
    levels: dict[str, int | None] = {}
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            yield from _table(block)
        else:
            yield from _paragraph(block, levels)
    for part in document.part.package.iter_parts():
        kind = part.partname.rpartition("/")[2].removesuffix(".xml")
        if kind in _NOTES:
            yield from _foot_notes(part.blob, _NOTES[kind])


def _paragraph(paragraph: Any, levels: dict[str, int | None]) -> Iterator[Block]:
    text = paragraph.text.strip()
    style = paragraph.style
    name = (style.name if style is not None else "") or ""
    if name not in levels:
        levels[name] = _level(style, name)
    if name == "Title" and text:
        yield Title(text)
        yield Heading(1, text)
    elif (level := levels[name]) is not None:
        yield Heading(level + 1, text)  # below the title
    elif text:
        numbered = paragraph._p.pPr is not None and paragraph._p.pPr.numPr is not None
        yield Passage(f"- {text}" if numbered or name.startswith("List") else text)
    for box in paragraph._p.iter(f"{_W}txbxContent"):
        if any("Fallback" in above.tag for above in box.iterancestors() if isinstance(above.tag, str)):
            continue  # the same box once more, for old programs
        lines = ("".join(t.text or "" for t in line.iter(f"{_W}t")) for line in box.iter(f"{_W}p"))
        yield Passage("\n".join(line for line in lines if line.strip()))


def _level(style: Any, name: str) -> int | None:
    """A heading's level, by its style's name in several languages, or by the level of the outline it sets."""
    if found := _HEADING.match(name):
        return int(found[1])
    while style is not None:
        outline = style.element.find(f"{_W}pPr/{_W}outlineLvl")
        if outline is not None:
            value = int(outline.get(f"{_W}val", "9"))
            return value + 1 if value < 9 else None
        style = style.base_style
    return None


def _table(table: Any) -> Iterator[Block]:
    """A passage per row; a merged cell is written once."""
    for row in table.rows:
        cells = list({id(cell._tc): " ".join(cell.text.split()) for cell in row.cells}.values())
        if any(cells):
            yield Passage(" | ".join(cells))


def _foot_notes(data: bytes, title: str) -> Iterator[Block]:
    from lxml import etree

    root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
    lines = []
    for note in root:
        if note.get(f"{_W}type") is None:  # others are the lines that separate notes from text
            lines.append("".join(t.text or "" for t in note.iter(f"{_W}t")).strip())
    if any(lines):
        yield Heading(1, title)
        yield from (Passage(line) for line in lines if line)
