"""Rows with a better and a worse answer: read from and written to each format of conversations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tunesmith.text.conversation import Conversation, Message
from tunesmith.text.formats import FORMATS, Columns, Row, Tags
from tunesmith.text.formats.fields import decoded
from tunesmith.text.rows import RowError


@dataclass(frozen=True, slots=True)
class Ranked:
    """chosen: the conversation with the better answer at its end. rejected: the worse one."""

    chosen: Conversation
    rejected: Message


def is_ranked(row: Row, columns: Columns) -> bool:
    chosen, rejected = _names(columns)
    return row.get(chosen) is not None and row.get(rejected) is not None


def read_ranked(row: Row, format: str, columns: Columns, tags: Tags) -> Ranked:
    """RowError where one of the answers is missing, or they answer different questions."""
    chosen, rejected = _names(columns)
    better = _answered(row, chosen, format, columns, tags)
    worse = _answered(row, rejected, format, columns, tags)
    if better.messages[:-1] != worse.messages[:-1]:
        raise RowError(f"'{chosen}' and '{rejected}' answer different questions")
    return Ranked(better, worse.messages[-1])


def write_ranked(ranked: Ranked, format: str) -> dict[str, Any]:
    """The row with `chosen` and `rejected` in the place of the answer."""
    better = FORMATS.get(format).write(ranked.chosen)
    worse = FORMATS.get(format).write(replace(ranked.chosen, messages=(*ranked.chosen.messages[:-1], ranked.rejected)))
    if format == "alpaca":
        chosen = better.pop("output")
        return {**better, "chosen": chosen, "rejected": worse["output"]}
    column = "conversations" if format == "sharegpt" else "messages"
    return {**better, "chosen": better[column].pop(), "rejected": worse[column][-1]}


def ranked_keys(columns: Columns) -> set[str]:
    return set(_names(columns))


def _names(columns: Columns) -> tuple[str, str]:
    return columns.chosen or "chosen", columns.rejected or "rejected"


def _answered(row: Row, column: str, format: str, columns: Columns, tags: Tags) -> Conversation:
    """The row as a conversation with one of its answers."""
    value = row.get(column)
    if value is None or value == "":
        raise RowError(f"column '{column}' is empty")
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")) and format != "alpaca":
        value = decoded(value, f"column '{column}'")
    if isinstance(value, list):  # a whole conversation
        words = "openai" if value and isinstance(value[0], Mapping) and "role" in value[0] else "sharegpt"
        example = FORMATS.get(words).read({"messages": value, "tools": row.get("tools")}, Columns(), Tags())
    elif format == "alpaca":
        named = replace(columns, response="output", query=columns.query, prompt=_question(row, columns))
        example = FORMATS.get("alpaca").read({**row, "output": value}, named, tags)
    else:
        place = columns.messages or next((name for name in ("conversations", "messages") if name in row), "messages")
        before = decoded(row.get(place), f"column '{place}'")
        answer = value if isinstance(value, Mapping) else _message(str(value), format, tags)
        example = FORMATS.get(format).read({**row, place: [*(before or []), answer]}, columns, tags)  # type: ignore[misc]
    if not isinstance(example, Conversation):
        raise RowError("it is plain text, expected a question with two answers")
    return example


def _question(row: Row, columns: Columns) -> str | None:
    return next((name for name in (columns.prompt, "instruction", "prompt", "question") if name in row), columns.prompt)


def _message(text: str, format: str, tags: Tags) -> dict[str, str]:
    role, content, word = ("from", "value", "gpt") if format == "sharegpt" else ("role", "content", "assistant")
    return {tags.role_tag or role: tags.assistant_tag or word, tags.content_tag or content: text}
