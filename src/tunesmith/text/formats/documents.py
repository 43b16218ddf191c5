"""Plain text for continued pre-training: {"text": …}, or whatever column `prompt` names."""

from __future__ import annotations

from typing import Any

from tunesmith.text.conversation import Document, Example
from tunesmith.text.formats import FORMATS, Columns, Row, Tags
from tunesmith.text.formats.fields import refuse_media, text_of
from tunesmith.text.rows import RowError


class Text:
    """One document a row."""

    name = "text"

    def detect(self, row: Row) -> bool:
        return "text" in row and not {"instruction", "output", "messages", "conversations"} & row.keys()

    def read(self, row: Row, columns: Columns, tags: Tags) -> Document:
        refuse_media(row, columns)
        named = [name for name in (columns.prompt, columns.query) if name is not None and name in row]
        names = named or [name for name in ("text",) if name in row]
        if not names:
            raise RowError(f"there is no text: neither column '{columns.prompt}' nor 'text' is in the row")
        parts = (text_of(row[name], f"column '{name}'") for name in names)
        text = "\n".join(part for part in parts if part)
        if not text or text.isspace():
            raise RowError("the document is empty")
        return Document(text)

    def write(self, example: Example) -> dict[str, Any]:
        if not isinstance(example, Document):
            raise RowError("a conversation can't be written as plain text without losing who says what")
        return {"text": example.text}


FORMATS.add("text", Text())
