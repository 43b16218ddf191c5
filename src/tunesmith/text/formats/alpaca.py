"""Alpaca: {"instruction", "input", "output", "system", "history": [[question, answer], …]}."""

from __future__ import annotations

import json
from typing import Any

from tunesmith.text.conversation import Conversation, Example, Message
from tunesmith.text.formats import FORMATS, Columns, Row, Tags
from tunesmith.text.formats.fields import (
    assistant,
    conversation_of,
    decoded,
    kind_of,
    refuse_media,
    text_of,
    tools_of,
    with_thinking,
)
from tunesmith.text.rows import RowError


class Alpaca:
    """A question in one or two columns (joined by a newline), an answer in another."""

    name = "alpaca"

    def detect(self, row: Row) -> bool:
        return "instruction" in row and "output" in row

    def read(self, row: Row, columns: Columns, tags: Tags) -> Conversation:
        refuse_media(row, columns)
        messages = [] if columns.history is None else _history(row.get(columns.history), columns.history)
        messages.append(Message("user", _question(row, columns)))
        messages.append(_answer(row, columns))
        if columns.system is not None and (system := text_of(row.get(columns.system), f"column '{columns.system}'")):
            messages.insert(0, Message("system", system))
        return Conversation(tuple(messages), tools_of(row, columns))

    def write(self, example: Example) -> dict[str, Any]:
        conversation = conversation_of(example, self.name)
        turns = [message for message in conversation.messages if message.role != "system"]
        if any(turn.role == "tool" or turn.tool_calls for turn in turns):
            raise RowError("it has tool calls, which alpaca has no place for; sharegpt and openai have")
        if any(turn.train is not None for turn in turns):
            raise RowError("single turns are marked as trained or not, which alpaca has no place for")
        *history, question, answer = [with_thinking(turn) for turn in turns]
        row: dict[str, Any] = {"instruction": question, "input": "", "output": answer}
        if conversation.system:
            row["system"] = conversation.system
        if history:
            row["history"] = [list(pair) for pair in zip(history[::2], history[1::2], strict=True)]
        if conversation.tools:
            row["tools"] = json.dumps(conversation.tools, ensure_ascii=False)
        return row


def _question(row: Row, columns: Columns) -> str:
    names = [name for name in (columns.prompt, columns.query) if name is not None and name in row]
    if not names:
        raise RowError(f"column '{columns.prompt}' is missing (columns found: {', '.join(map(str, row))})")
    parts = (text_of(row[name], f"column '{name}'") for name in names)
    return "\n".join(part for part in parts if part)


def _answer(row: Row, columns: Columns) -> Message:
    if columns.response is None or columns.response not in row:
        raise RowError(f"column '{columns.response}' is missing (columns found: {', '.join(map(str, row))})")
    return assistant(text_of(row[columns.response], f"column '{columns.response}'"))


def _history(value: object, column: str) -> list[Message]:
    if not value:
        return []
    pairs = decoded(value, f"column '{column}'") or []
    if not isinstance(pairs, list):
        raise RowError(f"column '{column}' is {kind_of(pairs)}, expected a list of [question, answer] pairs")
    messages = []
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise RowError(f"column '{column}' holds something else than [question, answer] pairs")
        messages.append(Message("user", text_of(pair[0], f"a question in '{column}'")))
        messages.append(assistant(text_of(pair[1], f"an answer in '{column}'")))
    return messages


FORMATS.add("alpaca", Alpaca())
