"""What a model is asked of an example: the conversation up to its last answer, and that answer to compare with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.data.examples import ReadExample
from tunesmith.text.conversation import Conversation, Document, Message, ToolCall


@dataclass(frozen=True, slots=True)
class Question:
    """index: its place in the evaluated data, from 0. place: file and line of the row. label: the answer in the data,
    without its reasoning."""

    index: int
    place: str
    conversation: Conversation
    label: str


def questions_of(examples: Sequence[ReadExample], spelled: Callable[[Sequence[ToolCall]], str]) -> list[Question]:
    """One question for each example. spelled: how the model writes tool calls."""
    return [_question(index, example, spelled) for index, example in enumerate(examples)]


def _question(index: int, read: ReadExample, spelled: Callable[[Sequence[ToolCall]], str]) -> Question:
    conversation = read.example
    assert not isinstance(conversation, Document), "plain text asks nothing"
    answers = [at for at, message in enumerate(conversation.messages) if message.role == "assistant"]
    trained = [at for at in answers if conversation.messages[at].train is not False]
    last = (trained or answers)[-1]
    asked = Conversation(conversation.messages[:last], conversation.tools)
    label = _text(conversation.messages[last], spelled)
    return Question(index, f"{Path(read.file).name}:{read.line}", asked, label)


def _text(message: Message, spelled: Callable[[Sequence[ToolCall]], str]) -> str:
    calls = spelled(message.tool_calls) if message.tool_calls else ""
    return "\n".join(part for part in (message.content, calls) if part)
