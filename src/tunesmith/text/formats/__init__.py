"""The shapes in which people keep conversations in files: one module per format, each turns a row into an example.

A format never guesses: what it can't read unambiguously it refuses with a RowError that says why. Nor does it lose
anything on the way back: what it has no place for it refuses to write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tunesmith.registry import Registry
from tunesmith.text.conversation import Example

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column of a row holds what; None: not used. Names are those of `columns` in dataset_info.json.

    `messages` defaults to None, which lets each format look under its own usual name.
    """

    prompt: str | None = "instruction"
    query: str | None = "input"
    response: str | None = "output"
    history: str | None = "history"
    messages: str | None = None
    system: str | None = "system"
    tools: str | None = "tools"
    images: str | None = "images"
    videos: str | None = "videos"
    audios: str | None = "audios"
    chosen: str | None = None
    rejected: str | None = None
    kto_tag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """How messages spell their keys and roles; None lets each format use its own usual words."""

    role_tag: str | None = None
    content_tag: str | None = None
    user_tag: str | None = None
    assistant_tag: str | None = None
    observation_tag: str | None = None
    function_tag: str | None = None
    system_tag: str | None = None


class Format(Protocol):
    """One way of writing an example as a row."""

    name: str

    def detect(self, row: Row) -> bool:
        """Whether a row with the usual column names is in this format; at most one format says yes."""
        ...

    def read(self, row: Row, columns: Columns, tags: Tags) -> Example:
        """The example a row holds; RowError when it can't be used."""
        ...

    def write(self, example: Example) -> dict[str, Any]:
        """The row, under the usual columns and words, that reads as this example; RowError when it can't be held."""
        ...


FORMATS: Registry[Format] = Registry("data format", __name__)
