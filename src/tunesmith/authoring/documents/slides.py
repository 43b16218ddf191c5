"""Slides (PowerPoint): the text of each slide under its title, tables row by row, then what the speaker notes say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tunesmith.authoring.archive import check_archive
from tunesmith.authoring.document import READERS, Block, Heading, Note, Passage, Title


@READERS.member(".pptx")
def read_pptx(path: Path) -> Iterator[Block]:
    from pptx import Presentation

    check_archive(path)
    slides = Presentation(str(path))
    if slides.core_properties.title and slides.core_properties.title != "PowerPoint Presentation":
        yield Title(slides.core_properties.title)
    bare = []
    for number, slide in enumerate(slides.slides, 1):
        title = slide.shapes.title
        yield Heading(1, title.text_frame.text if title is not None else f"{number}")
        some = title is not None
        for shape in _flat(slide.shapes):
            if title is not None and shape.shape_id == title.shape_id:
                continue
            for text in _texts(shape):
                some = True
                yield Passage(text, page=number)
        if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame.text.strip()):
            some = True
            yield Passage(notes, page=number)
        if not some:
            bare.append(number)
    if bare:
        yield Note(f"{path.name}: slides without text (pictures?): {', '.join(map(str, bare))}.")


def _flat(shapes: Iterable[Any]) -> Iterator[Any]:
    """Shapes from top to bottom, those of groups among them."""
    for shape in sorted(shapes, key=lambda shape: (shape.top or 0, shape.left or 0)):
        if hasattr(shape, "shapes"):
            yield from _flat(shape.shapes)
        else:
            yield shape


def _texts(shape: Any) -> Iterator[str]:
    if shape.has_text_frame:
        yield "\n".join(line.text for line in shape.text_frame.paragraphs if line.text.strip())
    elif getattr(shape, "has_table", False) and shape.has_table:
        for row in shape.table.rows:
            cells = [" ".join(cell.text.split()) for cell in row.cells if not cell.is_spanned]
            if any(cells):
                yield " | ".join(cells)
