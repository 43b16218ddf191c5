"""JSON: chats as the services export them, turn by turn; rows of any other file, each value after its key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tunesmith.authoring.chats import chats_of
from tunesmith.authoring.document import READERS, Block, Heading, Note, Passage
from tunesmith.authoring.records import read_records
from tunesmith.i18n import plural
from tunesmith.text.rows import RowError


@READERS.member(".json", ".jsonl")
def read_export(path: Path) -> Iterator[Block]:
    damaged = 0
    for line, row in read_records(path):
        if isinstance(row, RowError):
            damaged += 1
            continue
        chats = chats_of(row)
        for chat in chats:
            yield Heading(1, chat.title or f"{path.stem} {line}")
            yield from (Passage(f"{turn.role}: {turn.text}") for turn in chat.turns)
        if not chats:
            yield Passage("\n".join(_lines(row)))
    if damaged:
        told = plural("{count:,} line is damaged and left out", "{count:,} lines are damaged and left out", damaged)
        yield Note(f"{path.name}: {told}.")


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
