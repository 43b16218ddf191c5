"""How families spell tools: the list a model is given, the calls it makes, and the way back from text to calls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.errors import UserError, did_you_mean
from tunesmith.text.conversation import ToolCall

Tool = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """describe: tools → the text that offers them. write: calls → what the assistant says. parse is write's inverse.

    parse(text) gives the text before the calls and the calls; no calls, and the text whole, where there are none.
    """

    name: str
    describe: Callable[[Sequence[Tool]], str]
    write: Callable[[Sequence[ToolCall]], str]
    parse: Callable[[str], tuple[str, tuple[ToolCall, ...]]]


def tool_format(name: str) -> ToolFormat:
    """The format called name; UserError with the nearest names otherwise."""
    if name not in FORMATS:
        hint = did_you_mean(name, FORMATS) or f"Known: {', '.join(FORMATS)}."
        raise UserError(f"There is no tool format called {name!r}.", hint=hint, field="tool_format")
    return FORMATS[name]


def function_of(tool: Tool) -> Mapping[str, Any]:
    """The function's own schema, whether or not it is wrapped as {"type": "function", "function": …}."""
    inner = tool.get("function")
    return inner if isinstance(inner, Mapping) else tool


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _call(name: Any, arguments: Any) -> ToolCall | None:
    """A call, if what was parsed is one."""
    if isinstance(arguments, str):
        arguments = _loads(arguments)
    return ToolCall(name, arguments) if isinstance(name, str) and isinstance(arguments, Mapping) else None


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _all_or_none(text: str, start: int, calls: Sequence[ToolCall | None]) -> tuple[str, tuple[ToolCall, ...]]:
    good = tuple(call for call in calls if call is not None)
    return (text[:start].rstrip("\n"), good) if good and len(good) == len(calls) else (text, ())


# Hermes style: <tool_call> tags around a JSON object (Qwen2.5, Qwen3 model cards).


def _describe_qwen(tools: Sequence[Tool]) -> str:
    listed = "".join(
        "\n" + _json(tool if "function" in tool else {"type": "function", "function": tool}) for tool in tools
    )
    return (
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        f"You are provided with function signatures within <tools></tools> XML tags:\n<tools>{listed}\n</tools>\n\n"
        "For each function call, return a json object with function name and arguments within "
        '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n'
        "</tool_call>"
    )


def _write_qwen(calls: Sequence[ToolCall]) -> str:
    spelled = [f'{{"name": "{call.name}", "arguments": {_json(call.arguments)}}}' for call in calls]
    return "\n".join(f"<tool_call>\n{body}\n</tool_call>" for body in spelled)


def _parse_qwen(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    found = list(re.finditer(r"<tool_call>(.*?)</tool_call>", text, re.DOTALL))
    values = [_loads(match[1]) for match in found]
    calls = [_call(v.get("name"), v.get("arguments", {})) if isinstance(v, dict) else None for v in values]
    return _all_or_none(text, found[0].start() if found else 0, calls)


# Llama 3.1: a bare JSON object with "parameters" (Llama 3.1 prompt format).


def _describe_llama3(tools: Sequence[Tool]) -> str:
    listed = "".join(
        _json(tool if "function" in tool else {"type": "function", "function": tool}, indent=4) + "\n\n"
        for tool in tools
    )
    return (
        "You have access to the following functions. To call a function, please respond with JSON for a function call. "
        'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}. '
        f"Do not use variables.\n\n{listed}"
    )


def _write_llama3(calls: Sequence[ToolCall]) -> str:
    return "; ".join(f'{{"name": "{call.name}", "parameters": {_json(call.arguments)}}}' for call in calls)


def _parse_llama3(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    decoder, calls, at = json.JSONDecoder(), [], len(text) - len(text.lstrip())
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            return text, ()
        arguments = value.get("parameters", value.get("arguments")) if isinstance(value, dict) else None
        calls.append(_call(value.get("name"), arguments) if isinstance(value, dict) else None)
        at += len(re.match(r"[\s;]*", text[at:])[0])  # type: ignore[index]
    return _all_or_none(text, 0, calls)


# Mistral v3 and later: control tokens around JSON lists (mistral-common's instruct tokenizers).


def _describe_mistral(tools: Sequence[Tool]) -> str:
    return _json([tool if "function" in tool else {"type": "function", "function": tool} for tool in tools])


def _write_mistral(calls: Sequence[ToolCall]) -> str:
    return _json([{"name": c.name, "arguments": c.arguments} | ({"id": c.id} if c.id else {}) for c in calls])


def _parse_mistral(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    before, tag, after = text.rpartition("[TOOL_CALLS]")
    body = after if tag else text
    value = _loads(body)
    if not isinstance(value, list):
        return text, ()
    calls = [_call(v.get("name"), v.get("arguments")) if isinstance(v, dict) else None for v in value]
    ids = [v.get("id") if isinstance(v, dict) else None for v in value]
    named = [ToolCall(c.name, c.arguments, i) if c else None for c, i in zip(calls, ids, strict=True)]
    return _all_or_none(text, len(before), named)


# GLM-4: the function's name on the first line, its arguments as JSON on the next (GLM-4 model card).


def _describe_glm4(tools: Sequence[Tool]) -> str:
    head = (
        "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱AI训练的语言模型 GLM-4 模型开发的，"
        "你的任务是针对用户的问题和要求提供适当的答复和支持。\n\n# 可用工具"
    )
    listed = [
        f"\n\n## {function['name']}\n\n{_json(function, indent=4)}\n在调用上述函数时，请使用 Json 格式表示调用的参数。"
        for function in map(function_of, tools)
    ]
    return head + "".join(listed)


def _write_glm4(calls: Sequence[ToolCall]) -> str:
    return "<|observation|>".join(f"{call.name}\n{_json(call.arguments)}" for call in calls)


def _parse_glm4(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    calls = []
    for part in text.strip().split("<|observation|>"):
        name, _, body = part.strip().partition("\n")
        calls.append(_call(name, _loads(body)) if re.fullmatch(r"[\w.-]+", name) else None)
    return _all_or_none(text, 0, calls)


# For families without a way of their own: the ReAct pattern (Yao et al. 2022), Action and Action Input on two lines.


def _describe_default(tools: Sequence[Tool]) -> str:
    listed = "\n".join(f"- {_json(function_of(tool))}" for tool in tools)
    return (
        f"These tools can be called, each given with its arguments as a JSON schema:\n{listed}\n\n"
        "To call one, write two lines and nothing after them:\n"
        "Action: <the tool's name>\nAction Input: <its arguments as one JSON object>"
    )


def _write_default(calls: Sequence[ToolCall]) -> str:
    return "\n".join(f"Action: {call.name}\nAction Input: {_json(call.arguments)}" for call in calls)


def _parse_default(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    found = list(
        re.finditer(
            r"^Action:[ \t]*(\S+)[ \t]*\nAction Input:[ \t]*(.*?)(?=\nAction:|\s*\Z)", text, re.DOTALL | re.MULTILINE
        )
    )
    calls = [_call(match[1], _loads(match[2])) for match in found]
    return _all_or_none(text, found[0].start() if found else 0, calls)


FORMATS: Mapping[str, ToolFormat] = {
    form.name: form
    for form in (
        ToolFormat("default", _describe_default, _write_default, _parse_default),
        ToolFormat("qwen", _describe_qwen, _write_qwen, _parse_qwen),
        ToolFormat("llama3", _describe_llama3, _write_llama3, _parse_llama3),
        ToolFormat("mistral", _describe_mistral, _write_mistral, _parse_mistral),
        ToolFormat("glm4", _describe_glm4, _write_glm4, _parse_glm4),
    )
}
