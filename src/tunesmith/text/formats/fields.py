"""Reading single values of a row, with reasons a layman understands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tunesmith.text.conversation import Conversation, Example, Message, ToolCall
from tunesmith.text.formats import Columns, Row
from tunesmith.text.rows import RowError

_NUMBER = "a number"
_KINDS = {type(None): "empty", bool: "true/false", int: _NUMBER, float: _NUMBER, list: "a list", dict: "an object"}
_TRAIN_FLAGS = ("train", "loss", "weight", "loss_weight")
_MEDIA = ("images", "videos", "audios")


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    return "text" if isinstance(value, str) else _KINDS.get(type(value), type(value).__name__)


def text_of(value: object, what: str) -> str:
    """A text value; None counts as empty."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise RowError(f"{what} is {kind_of(value)}, expected text")


def decoded(value: object, what: str) -> object:
    """A list or object as it is, or as JSON text (as csv and spreadsheet cells hold it); empty text is None."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value)
    except ValueError as error:
        raise RowError(f"{what} is text that is not JSON ({error})") from None


def tools_of(row: Row, columns: Columns) -> tuple[Mapping[str, Any], ...]:
    """The tools offered in a row, in OpenAI's function shape; bare {name, description, parameters} are wrapped."""
    if columns.tools is None or not row.get(columns.tools):
        return ()
    value = decoded(row[columns.tools], f"column '{columns.tools}'")
    tools = value if isinstance(value, list) else [value] if isinstance(value, dict) else None
    if value is None:
        return ()
    if tools is None:
        raise RowError(f"column '{columns.tools}' is {kind_of(value)}, expected a list of tools")
    return tuple(_tool(tool) for tool in tools)


def _tool(tool: object) -> Mapping[str, Any]:
    if isinstance(tool, str):
        tool = decoded(tool, "a tool")
    if not isinstance(tool, dict):
        raise RowError(f"a tool is {kind_of(tool)}, expected an object with a name")
    function = tool.get("function", tool)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise RowError("a tool has no name")
    return tool if "function" in tool else {"type": "function", "function": tool}


def tool_calls_of(value: object) -> tuple[ToolCall, ...]:
    """Tool calls written as one object or a list of them: {name, arguments}, or OpenAI's {id, function: {…}}."""
    calls = value if isinstance(value, list) else [value]
    if not calls:
        raise RowError("a tool call is empty")
    return tuple(_tool_call(call) for call in calls)


def _tool_call(call: object) -> ToolCall:
    if not isinstance(call, dict):
        raise RowError(f"a tool call is {kind_of(call)}, expected an object with name and arguments")
    function = call.get("function", call)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise RowError("a tool call has no name")
    name = function["name"]
    arguments = decoded(function.get("arguments", function.get("parameters")), f"the arguments of tool call '{name}'")
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise RowError(f"the arguments of tool call '{name}' are {kind_of(arguments)}, expected an object")
    identity = call.get("id")
    return ToolCall(name, arguments, identity if isinstance(identity, str) else None)


def train_flag(message: Mapping[str, Any]) -> bool | None:
    """A message's own word on whether it is trained: `train`, `loss` (true/false) or `weight`, `loss_weight` (0/1)."""
    for key in _TRAIN_FLAGS:
        value = message.get(key)
        if value is None:
            continue
        if value not in (0, 1):  # True == 1 and False == 0
            raise RowError(f"'{key}' of a message is {value!r}, expected 0 or 1 (true or false)")
        return bool(value)
    return None


def split_thinking(content: str) -> tuple[str | None, str]:
    """(thinking, answer) of an assistant's text that may begin with a <think>…</think> block."""
    head = content.lstrip()
    if not head.startswith("<think>"):
        return None, content
    thinking, closed, answer = head[len("<think>") :].partition("</think>")
    if not closed:
        raise RowError("a <think> block is never closed with </think>")
    return thinking.strip("\n"), answer.lstrip("\n")


def with_thinking(message: Message) -> str:
    """The text of an answer with its thinking before it; split_thinking's inverse."""
    if message.thinking is None:
        return message.content
    return f"<think>\n{message.thinking}\n</think>\n\n{message.content}"


def conversation_of(example: Example, format: str) -> Conversation:
    """The example as a conversation; RowError where it is plain text."""
    if not isinstance(example, Conversation):
        raise RowError(f"plain text has no question and answer, and {format} holds conversations")
    return example


def assistant(content: str, *, thinking: str | None = None, train: bool | None = None) -> Message:
    """An assistant's message without tool calls; RowError when there is no answer."""
    if thinking is None and "<think>" in content:
        thinking, content = split_thinking(content)
    if not content or content.isspace():
        raise RowError("the answer is empty" if thinking is None else "the answer is only thinking, without an answer")
    return Message("assistant", content, thinking, (), train)


def refuse_media(row: Row, columns: Columns) -> None:
    """RowError when a row carries pictures, videos or sound."""
    for kind in _MEDIA:
        column = getattr(columns, kind)
        if column is not None and row.get(column):
            raise RowError(f"column '{column}' holds {kind}; only text can be trained on")
