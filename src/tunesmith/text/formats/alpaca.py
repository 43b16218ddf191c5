"""Alpaca: {"instruction", "input", "output", "system", "history": [[question, answer], …]}."""

from __future__ import annotations

from tunesmith.text.conversation import Conversation, Message
from tunesmith.text.formats import FORMATS, Columns, Row, Tags
from tunesmith.text.formats.fields import assistant, decoded, kind_of, refuse_media, text_of, tools_of
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
