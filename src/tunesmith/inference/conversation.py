"""Questions from Python as conversations: a text, or messages as OpenAI's interface writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.errors import UserError
from tunesmith.text.conversation import Conversation, Message, ToolCall
from tunesmith.text.formats import FORMATS, Columns, Tags
from tunesmith.text.rows import RowError

_TO_COME = {"role": "assistant", "content": "…"}
Asked = str | Message | Mapping[str, Any]


def conversation_of(
    asked: str | Sequence[Asked], *, system: str | None = None, tools: Sequence[Mapping[str, Any]] = ()
) -> Conversation:
    """asked: a question, or the messages of a conversation that the user or a tool spoke last in.

    system: put before them. Messages are read as data files are, so what would be refused there raises UserError here.
    """
    messages: Sequence[Asked] = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    if isinstance(messages, Mapping) or not messages:
        raise UserError(
            "A conversation is a list of messages.",
            hint='Ask with a text, or with messages such as [{"role": "user", "content": "Hello"}].',
        )
    rows = [_row(message) for message in messages]
    head = [] if system is None else [{"role": "system", "content": system}]
    if isinstance(rows[-1], Mapping) and rows[-1].get("role") == "assistant":
        raise UserError("The assistant spoke last, so there is nothing to answer.", hint="Add a message of the user.")
    try:
        # A row of data ends with an answer; this one is still to come.
        read = FORMATS.get("openai").read(
            {"messages": [*head, *rows, _TO_COME], "tools": list(tools)}, Columns(messages="messages"), Tags()
        )
    except RowError as error:
        raise UserError(f"These messages can't be answered: {error.reason}.") from None
    assert isinstance(read, Conversation)
    return Conversation(read.messages[:-1], read.tools)


def _row(message: Asked) -> object:
    """A message as OpenAI's interface writes it; what is neither text nor Message is left to the format's reader."""
    if isinstance(message, str):
        return {"role": "user", "content": message}
    if not isinstance(message, Message):
        return message
    row: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking is not None:
        row["reasoning_content"] = message.thinking
    if message.tool_calls:
        row["tool_calls"] = [_call(call) for call in message.tool_calls]
    return row


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": dict(call.arguments)}}
