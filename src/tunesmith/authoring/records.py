"""Rows of JSON, parquet and arrow files, also where a JSON file wraps them in an object."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.authoring.chats import chats_of
from tunesmith.authoring.document import MOST_BYTES
from tunesmith.data.encoding import detect_encoding
from tunesmith.data.readers import Line, read_json, read_jsonl
from tunesmith.data.tables import read_arrow, read_parquet
from tunesmith.errors import UserError

RECORDS = (".json", ".jsonl", ".parquet", ".arrow")


def read_records(path: Path) -> Iterator[Line]:
    """(line, row) pairs; a RowError in a row's place says why it is none. UserError where the file is damaged."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        yield from read_parquet(path, "", _unheard)
    elif suffix == ".arrow":
        yield from read_arrow(path, "", _unheard)
    elif suffix == ".jsonl":
        yield from read_jsonl(path, detect_encoding(path), _unheard)
    elif (whole := _object(path)) is not None:
        yield from enumerate(_unwrapped(whole), 1)
    else:
        yield from read_json(path, detect_encoding(path), _unheard)


def _unheard(done: int) -> None:
    """Nobody asks how far the file was read."""


def _object(path: Path) -> Mapping[str, Any] | None:
    """The object that a whole file is; None where it is a list or JSON lines."""
    encoding = detect_encoding(path)
    with path.open(encoding=encoding, errors="replace") as file:
        # A list may be one line of gigabytes: its first character is enough.
        while (mark := file.read(1)).isspace() or mark == "\ufeff":
            pass
        if mark != "{":
            return None
        first = mark + file.readline().rstrip()
        more = any(line.strip() for line in islice(file, 1000))
    if more and _is_json(first):
        return None
    if (size := path.stat().st_size) > MOST_BYTES:
        raise UserError(
            f"{path} is one object of {size >> 20} MiB, and at most {MOST_BYTES >> 20} are read as a whole.",
            hint="Split it, or write it as JSON lines.",
        )
    try:
        value = json.loads(path.read_text(encoding=encoding))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is damaged at line {error.lineno}, column {error.colno}: {error.msg}.") from None
    return value if isinstance(value, Mapping) else None


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _unwrapped(value: Mapping[str, Any]) -> list[Any]:
    """The one list of objects under a key of an object, or the object as the only row."""
    if not chats_of(value):
        inner = [item for item in value.values() if isinstance(item, list) and item and isinstance(item[0], Mapping)]
        named = {"messages", "conversations", "chat_messages"} & value.keys()
        if len(inner) == 1 and not named:
            return inner[0]
    return [value]
