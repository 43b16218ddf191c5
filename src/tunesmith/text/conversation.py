"""What is trained on, before any template or tokenizer: conversations and plain documents. Immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call an assistant makes. arguments is the decoded JSON object."""

    name: str
    arguments: Mapping[str, Any]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn.

    thinking: the reasoning text without its tags, None where the data has none.
    train: None lets the job decide (assistant turns), True/False is the row's own flag.
    """

    role: Role
    content: str
    thinking: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    train: bool | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in order; a system message only at the head. tools: JSON schemas, OpenAI's function shape."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()

    @property
    def system(self) -> str | None:
        head = self.messages[0] if self.messages else None
        return head.content if head and head.role == "system" else None


@dataclass(frozen=True, slots=True)
class Document:
    """Plain text for continued pre-training: every token is trained."""

    text: str


Example = Conversation | Document


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of a rendered text that message number `message` wrote."""

    start: int
    end: int
    message: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as the model sees it.

    text: with the template's control tokens spelled out. spans: what the assistant wrote, in order, the token that ends
    its turn included. literals: characters [start, end) that come from the data and spell a control token; they must be
    encoded as ordinary text.
    """

    text: str
    spans: tuple[Span, ...]
    literals: tuple[tuple[int, int], ...] = field(default=())
