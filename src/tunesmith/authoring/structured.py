"""JSON out of what a model wrote: fenced, commented on, thought aloud or cut off."""

from __future__ import annotations

import json
import re
from typing import Any

_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_FENCED = re.compile(r"```(?:json|JSON)?[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
REFUSALS = re.compile(
    r"\b(?:as an? (?:ai|artificial intelligence|(?:large )?language model)|i(?:['’]m| am) (?:sorry|unable)"
    r"|i (?:cannot|can['’]t) (?:answer|help|assist|provide)|i don['’]t have (?:enough |any )?information"
    r"|cannot be (?:answered|determined) from)"
    r"|作为一个?(?:AI|人工智能|语言模型)|作為一個?(?:AI|人工智慧|語言模型)|(?:抱歉|对不起|對不起)，?我(?:无法|無法|不能)"
    r"|无法(?:回答|从.{0,6}得知)|無法(?:回答|從.{0,6}得知)|(?:文中|文本|原文)(?:没有|未|沒有)提(?:到|及|供)",
    re.IGNORECASE,
)
"""What a model says that does not do as it is asked."""
_TOO_DEEP = "it opens brackets without end"


class BadAnswer(Exception):
    """An answer that can't be used as it is; reason is told to the model, which is asked once more."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Declined(BadAnswer):
    """The model says that it will not answer, so asking once more is in vain."""


def objects(text: str, key: str) -> list[dict[str, Any]]:
    """The objects that an answer lists under `key`, in a bare list, or alone.

    BadAnswer where it holds none, Declined where it says in words that there will be none.

    Damaged JSON is repaired where that is possible; so is the part of an answer that was cut off.
    """
    value = _decoded(text)
    if isinstance(value, dict):
        listed = value.get(key)
        if listed is None:
            lists = [item for item in value.values() if isinstance(item, list)]
            listed = lists[0] if len(lists) == 1 else [value]
        value = listed
    found = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    if not found:
        raise BadAnswer(f'it holds no JSON object of the form {{"{key}": [...]}}')
    return found


def _decoded(text: str) -> Any:
    text = _THOUGHT.sub("", text)
    if text.lstrip().startswith("<think"):
        raise BadAnswer("it is only thinking, without an answer")
    if fenced := _FENCED.search(text):
        text = fenced[1]
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    if not starts:
        if refusal := REFUSALS.search(text):
            raise Declined(f"the model declines to answer ({refusal[0]!r})")
        raise BadAnswer("it holds no JSON")
    body = text[min(starts) :]
    try:
        return json.JSONDecoder(strict=False).raw_decode(body)[0]
    except ValueError:
        return _repaired(body)
    except RecursionError:
        raise BadAnswer(_TOO_DEEP) from None


def _repaired(body: str) -> Any:
    from json_repair import repair_json

    try:
        return repair_json(body, return_objects=True)
    except (ValueError, RecursionError):  # its own limit of depth is the former
        raise BadAnswer(_TOO_DEEP) from None
