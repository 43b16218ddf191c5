"""Conversations as chat services export them: ChatGPT's tree of messages, Claude's list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_ROLES: Mapping[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "model": "assistant",
}


@dataclass(frozen=True, slots=True)
class Turn:
    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Chat:
    """One conversation of an export."""

    title: str
    turns: tuple[Turn, ...]


def chats_of(record: Mapping[str, Any]) -> list[Chat]:
    """The conversation that a record of an export holds, or several; empty where it is no export that is known."""
    if _is_tree(record.get("mapping")):
        return _kept(_chatgpt(record))
    if isinstance(record.get("chat_messages"), list):
        return _kept(_claude(record))
    wrapped = record.get("conversations")
    if isinstance(wrapped, list) and wrapped and all(isinstance(one, dict) and "mapping" in one for one in wrapped):
        return [chat for one in wrapped for chat in chats_of(one)]
    return []


def _is_tree(mapping: Any) -> bool:
    """Whether it is ChatGPT's: nodes by their id, each with a message or its place in the tree."""
    keys = {"message", "parent", "children"}
    return isinstance(mapping, dict) and all(isinstance(node, dict) and node.keys() & keys for node in mapping.values())


def _part(value: Any, key: str) -> Any:
    """What an object has under a key; None where it is no object."""
    return value.get(key) if isinstance(value, dict) else None


def _kept(chat: Chat) -> list[Chat]:
    return [chat] if any(turn.role == "assistant" for turn in chat.turns) else []


def _chatgpt(record: Mapping[str, Any]) -> Chat:
    """The branch of the tree that was shown last, from its leaf up."""
    nodes: Mapping[str, Any] = record["mapping"]
    leaf = next((key for key, node in nodes.items() if not node.get("children")), "")
    at = str(record.get("current_node") or leaf)
    turns: list[Turn] = []
    seen: set[str] = set()
    while at in nodes and at not in seen:
        seen.add(at)
        message = nodes[at].get("message")
        role = _ROLES.get(str(_part(_part(message, "author"), "role")))
        parts = _part(_part(message, "content"), "parts")
        text = "\n".join(part for part in parts or [] if isinstance(part, str)).strip()
        if role and text:
            turns.append(Turn(role, text))
        at = str(nodes[at].get("parent"))
    return Chat(str(record.get("title") or ""), _merged(turns[::-1]))


def _claude(record: Mapping[str, Any]) -> Chat:
    turns = []
    for message in record["chat_messages"]:
        role = _ROLES.get(str(_part(message, "sender")))
        parts = [_part(part, "text") for part in _part(message, "content") or []]
        text = str(_part(message, "text") or "\n".join(str(part) for part in parts if part)).strip()
        if role and text:
            turns.append(Turn(role, text))
    return Chat(str(record.get("name") or ""), _merged(turns))


def _merged(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Turns of one speaker in a row joined."""
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role:
            merged[-1] = Turn(turn.role, f"{merged[-1].text}\n\n{turn.text}")
        else:
            merged.append(turn)
    return tuple(merged)
