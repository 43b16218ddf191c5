"""Rows become examples; what can't be used comes out as a refusal that says where and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tunesmith.data.layout import Layout
from tunesmith.data.sources import SourceRow
from tunesmith.errors import UserError
from tunesmith.text.conversation import Conversation, Document, Example
from tunesmith.text.rows import RowError

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_PARTICULARS = re.compile(r"'[^']*'|\d+|\(.*\)")
_LISTED = 1000  # refusals kept one by one; the rest is counted by reason
_BY_ROW = (".parquet", ".arrow")


class ReadExample(NamedTuple):
    """An example with its place. left: names of placeholders that nothing was given for."""

    example: Example
    file: str
    line: int
    left: tuple[str, ...]


class Refusal(NamedTuple):
    """A row that can't be used."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        unit = "row" if self.file.endswith(_BY_ROW) else "line"
        return f"{Path(self.file).name}, {unit} {self.line}: {self.reason}"


class Refusals:
    """The refused rows of a data set: the first ones in full, all of them by reason."""

    def __init__(self) -> None:
        self.listed: list[Refusal] = []
        self._by_kind: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, refusal: Refusal, *, strict: bool) -> None:
        """Keep a refusal; UserError right away when strict."""
        if strict:
            raise UserError(
                f"{refusal}.",
                hint="Correct the row, or leave `strict` out to go on without such rows.",
                field="strict",
            )
        kind = _PARTICULARS.sub("…", refusal.reason)
        self._by_kind[kind] += 1
        self._first.setdefault(kind, refusal.reason)
        if len(self.listed) < _LISTED:
            self.listed.append(refusal)

    @property
    def count(self) -> int:
        return self._by_kind.total()

    def reasons(self) -> dict[str, int]:
        """Reason (of the first row of its kind) → number of rows, the most frequent first."""
        return {self._first[kind]: count for kind, count in self._by_kind.most_common()}


class ExampleReader:
    """Turns the rows of one data set into examples, filling placeholders such as {{name}}."""

    def __init__(self, layout: Layout, placeholders: Mapping[str, str]) -> None:
        self._read = layout.format.read
        self._columns = layout.columns
        self._tags = layout.tags
        self._placeholders = placeholders

    def read(self, source: SourceRow) -> ReadExample | Refusal:
        file, line, row = source
        if isinstance(row, RowError):
            return Refusal(file, line, row.reason)
        try:
            example = self._read(row, self._columns, self._tags)
        except RowError as error:
            return Refusal(file, line, error.reason)
        if _has_braces(example):
            return self._filled(example, file, line)
        return ReadExample(example, file, line, ())

    def _filled(self, example: Example, file: str, line: int) -> ReadExample:
        left: list[str] = []

        def fill(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in self._placeholders:
                left.append(name)
                return match.group(0)
            return self._placeholders[name]

        def filled(text: str) -> str:
            return _PLACEHOLDER.sub(fill, text)

        if isinstance(example, Document):
            return ReadExample(Document(filled(example.text)), file, line, tuple(left))
        messages = tuple(
            replace(
                message,
                content=filled(message.content),
                thinking=None if message.thinking is None else filled(message.thinking),
            )
            for message in example.messages
        )
        return ReadExample(Conversation(messages, example.tools), file, line, tuple(left))


def _has_braces(example: Example) -> bool:
    if isinstance(example, Document):
        return "{{" in example.text
    for message in example.messages:
        if "{{" in message.content or (message.thinking is not None and "{{" in message.thinking):
            return True
    return False
