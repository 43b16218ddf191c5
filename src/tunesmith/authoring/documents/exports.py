"""JSON: chats as the services export them, turn by turn; rows of any other file, each value after its key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tunesmith.authoring.chats import chats_of
from tunesmith.authoring.document import READERS, Block, Heading, Note, Passage
from tunesmith.data.encoding import detect_encoding
from tunesmith.data.readers import read_jsonl
from tunesmith.errors import UserError
from tunesmith.text.rows import RowError


@READERS.member(".json", ".jsonl")
def read_export(path: Path) -> Iterator[Block]:
    damaged = 0
    for line, row in _rows(path):
        if isinstance(row, RowError):
            damaged += 1
            continue
        chats = chats_of(row) if isinstance(row, Mapping) else []
        for chat in chats:
            yield Heading(1, chat.title or f"{path.stem} {line}")
            yield from (Passage(f"{turn.role}: {turn.text}") for turn in chat.turns)
        if not chats:
            yield Passage("\n".join(_lines(row)))
    if damaged:
        yield Note(f"{path.name}: {damaged:,} lines are damaged and left out.")


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    encoding = detect_encoding(path)
    if path.suffix.lower() == ".jsonl":
        yield from read_jsonl(path, encoding, lambda done: None)
        return
    try:
        value = json.loads(path.read_text(encoding=encoding))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is damaged at line {error.lineno}, column {error.colno}: {error.msg}.") from None
    yield from enumerate(unwrapped(value), 1)


def unwrapped(value: Any) -> list[Any]:
    """The rows of a JSON file: its list, or the one list of objects under a key of its object."""
    if isinstance(value, Mapping) and not chats_of(value):
        inner = [item for item in value.values() if isinstance(item, list) and item and isinstance(item[0], Mapping)]
        value = inner[0] if len(inner) == 1 else value
    return value if isinstance(value, list) else [value]


def _lines(value: Any, key: str = "") -> Iterator[str]:
    """Texts and numbers of a value, each after its key."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _lines(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _lines(item, key)
    elif value is not None and value != "":
        yield f"{key}: {value}" if key else str(value)
