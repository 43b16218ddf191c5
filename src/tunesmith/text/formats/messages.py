"""ShareGPT ({"conversations": [{"from", "value"}]}) and OpenAI ({"messages": [{"role", "content"}]}).

Both are a list of messages with a role each; they differ in words, and in how a tool call is written: in ShareGPT it
is the text of a `function_call` message, in OpenAI the key `tool_calls` of an assistant's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

from tunesmith.text.conversation import Conversation, Example, Message
from tunesmith.text.formats import FORMATS, Columns, Row, Tags
from tunesmith.text.formats.fields import (
    assistant,
    conversation_of,
    decoded,
    kind_of,
    refuse_media,
    split_thinking,
    text_of,
    tool_calls_of,
    tools_of,
    train_flag,
    with_thinking,
)
from tunesmith.text.rows import RowError

Meaning = Literal["system", "user", "assistant", "tool", "call"]

_SHAREGPT = Tags(
    role_tag="from",
    content_tag="value",
    user_tag="human",
    assistant_tag="gpt",
    observation_tag="observation",
    function_tag="function_call",
    system_tag="system",
)
_OPENAI = Tags(
    role_tag="role",
    content_tag="content",
    user_tag="user",
    assistant_tag="assistant",
    observation_tag="tool",
    function_tag="function_call",
    system_tag="system",
)
# Words that mean one thing in every file we know; a file's own tags come first.
_USUAL: Mapping[str, Meaning] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "observation": "tool",
    "tool": "tool",
    "function": "tool",
    "function_call": "call",
    "system": "system",
    "developer": "system",
}


class MessageList:
    """A conversation as a list of messages under one column."""

    def __init__(self, name: str, column: str, tags: Tags) -> None:
        self.name = name
        self.column = column
        self.tags = tags

    def detect(self, row: Row) -> bool:
        for column in ("conversations", "messages"):
            try:
                messages = decoded(row.get(column), column)
            except RowError:
                continue
            if isinstance(messages, list) and messages and isinstance(messages[0], dict):
                return self.tags.role_tag in messages[0]
        return False

    def read(self, row: Row, columns: Columns, tags: Tags) -> Conversation:
        refuse_media(row, columns)
        role_key, content_key, roles = _vocabulary(self.tags, tags)
        system = [] if columns.system is None else [text_of(row.get(columns.system), f"column '{columns.system}'")]
        systems = [text for text in system if text]
        turns: list[Message] = []
        for number, raw in enumerate(self._messages(row, columns), 1):
            meaning = _meaning(raw, role_key, roles, number)
            if meaning == "system":
                _check_system_place(systems, turns, number)
                systems.append(_content(raw, content_key, number))
            else:
                turns.append(_message(raw, meaning, content_key, number))
        _check_order(turns)
        head = [Message("system", "\n\n".join(text for text in systems if text))] if any(systems) else []
        return Conversation(tuple(head + turns), tools_of(row, columns))

    def write(self, example: Example) -> dict[str, Any]:
        conversation = conversation_of(example, self.name)
        if self.name == "sharegpt":
            turns = [_sharegpt_message(turn) for turn in conversation.messages if turn.role != "system"]
        else:
            turns = list(_openai_messages(conversation.messages))
        row: dict[str, Any] = {self.column: turns}
        if self.name == "sharegpt" and conversation.system:
            row["system"] = conversation.system
        if conversation.tools:
            tools = list(conversation.tools)
            row["tools"] = json.dumps(tools, ensure_ascii=False) if self.name == "sharegpt" else tools
        return row

    def _messages(self, row: Row, columns: Columns) -> list[Any]:
        column = columns.messages or next((c for c in (self.column, "conversations", "messages") if c in row), None)
        if column is None or column not in row:
            raise RowError(f"column '{column or self.column}' is missing (columns found: {', '.join(map(str, row))})")
        messages = decoded(row[column], f"column '{column}'")
        if not isinstance(messages, list):
            raise RowError(f"column '{column}' is {kind_of(messages)}, expected a list of messages")
        if not messages:
            raise RowError(f"column '{column}' holds no messages")
        return messages


@lru_cache(maxsize=16)
def _vocabulary(usual: Tags, own: Tags) -> tuple[str, str, Mapping[str, Meaning]]:
    """(role key, content key, role word → meaning) of a file."""
    meanings: dict[str, Meaning] = dict(_USUAL)
    for field, meaning in _FIELDS:
        meanings[getattr(usual, field)] = meaning
    for field, meaning in _FIELDS:
        if (word := getattr(own, field)) is not None:
            meanings[word] = meaning
    return own.role_tag or str(usual.role_tag), own.content_tag or str(usual.content_tag), meanings


_FIELDS: tuple[tuple[str, Meaning], ...] = (
    ("user_tag", "user"),
    ("assistant_tag", "assistant"),
    ("observation_tag", "tool"),
    ("function_tag", "call"),
    ("system_tag", "system"),
)


def _meaning(raw: object, role_key: str, roles: Mapping[str, Meaning], number: int) -> Meaning:
    if not isinstance(raw, dict):
        raise RowError(f"message {number} is {kind_of(raw)}, expected an object with '{role_key}'")
    role = raw.get(role_key)
    if role is None:
        found = ", ".join(map(str, raw))
        raise RowError(f"message {number} has no '{role_key}' (keys found: {found}); check `tags` and `formatting`")
    meaning = roles.get(role) if isinstance(role, str) else None
    if meaning is None:
        raise RowError(f"message {number} has the unknown role '{role}'; known: {', '.join(sorted(roles))}")
    return meaning


def _check_system_place(systems: list[str], turns: list[Message], number: int) -> None:
    """A late system message may move to the head only where no answer was given before it and none stands there."""
    if not turns:
        return
    if systems:
        raise RowError(f"message {number} is a second system message; only the head of a conversation may hold one")
    if any(turn.role == "assistant" for turn in turns):
        raise RowError(f"message {number} is a system message after an answer was given; move it to the head")


def _content(raw: Mapping[str, Any], key: str, number: int) -> str:
    """The text of a message: text, or a list of parts of type text."""
    content = raw.get(key)
    if not isinstance(content, list):
        if key not in raw and not raw.get("tool_calls") and not raw.get("function_call"):
            found = ", ".join(map(str, raw))
            raise RowError(f"message {number} has no '{key}' (keys found: {found}); check `tags` and `formatting`")
        return text_of(content, f"the content of message {number}")
    parts = []
    for part in content:
        kind = part.get("type", "text") if isinstance(part, dict) else "text"
        if kind not in ("text", "input_text", "output_text"):
            raise RowError(f"message {number} holds a part of type '{kind}'; only text can be trained on")
        parts.append(text_of(part.get("text") if isinstance(part, dict) else part, f"a part of message {number}"))
    return "".join(parts)


def _message(raw: Mapping[str, Any], meaning: Meaning, key: str, number: int) -> Message:
    content, train = _content(raw, key, number), train_flag(raw)
    if meaning == "user" or meaning == "tool":
        return Message(meaning, content, None, (), train)
    if meaning == "call":
        thinking, call = split_thinking(content)
        calls = tool_calls_of(decoded(call, f"the tool call in message {number}"))
        return Message("assistant", "", thinking, calls, train)
    calls_raw = raw.get("tool_calls") or raw.get("function_call")
    reasoning = raw.get("reasoning_content")
    thinking = None if reasoning is None else text_of(reasoning, f"'reasoning_content' of message {number}").strip("\n")
    if calls_raw:
        if thinking is None:
            thinking, content = split_thinking(content)
        return Message("assistant", content, thinking, tool_calls_of(decoded(calls_raw, "tool_calls")), train)
    try:
        return assistant(content, thinking=thinking, train=train)
    except RowError as error:
        raise RowError(f"message {number}: {error.reason}") from None


def _check_order(turns: list[Message]) -> None:
    """user → assistant → user → …; a tool's results may only follow the call that asked for them."""
    if not turns:
        raise RowError("there is no message besides the system's")
    if turns[0].role != "user":
        raise RowError(f"the conversation starts with the {turns[0].role}, expected the user")
    for before, turn in pairwise(turns):
        if turn.role == before.role and turn.role != "tool":
            raise RowError(f"two messages of the {turn.role} follow each other")
        if turn.role == "tool" and before.role == "user":
            raise RowError("a tool's result follows the user, expected it after the assistant's tool call")
        if turn.role == "user" and before.role == "tool":
            raise RowError("the user follows a tool's result, expected the assistant's answer to it first")
    if turns[-1].role != "assistant":
        raise RowError(f"the conversation ends with the {turns[-1].role}, so there is no answer to learn")


def _sharegpt_message(message: Message) -> dict[str, Any]:
    """A call is the text of a message of its own."""
    if not message.tool_calls:
        role = {"user": "human", "assistant": "gpt", "tool": "observation"}[message.role]
        return {"from": role, "value": with_thinking(message), **_train(message)}
    if message.content:
        raise RowError("a tool call comes with words to the user, which sharegpt has no place for; openai has")
    calls = [
        {"name": call.name, "arguments": dict(call.arguments), **({"id": call.id} if call.id else {})}
        for call in message.tool_calls
    ]
    text = json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False)
    return {"from": "function_call", "value": with_thinking(replace(message, content=text)), **_train(message)}


def _openai_messages(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    waiting: list[str | None] = []  # ids of the calls whose results come next
    for message in messages:
        written: dict[str, Any] = {"role": message.role, "content": message.content, **_train(message)}
        if message.thinking is not None:
            written["reasoning_content"] = message.thinking
        if message.tool_calls:
            waiting = [call.id for call in message.tool_calls]
            written["tool_calls"] = [
                {
                    **({"id": call.id} if call.id else {}),
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
                }
                for call in message.tool_calls
            ]
        elif message.role == "tool" and waiting and (identity := waiting.pop(0)):
            written["tool_call_id"] = identity
        yield written


def _train(message: Message) -> dict[str, bool]:
    return {} if message.train is None else {"train": message.train}


FORMATS.add("sharegpt", MessageList("sharegpt", "conversations", _SHAREGPT))
FORMATS.add("openai", MessageList("openai", "messages", _OPENAI))
