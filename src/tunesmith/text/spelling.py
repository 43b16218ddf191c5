"""Finding control tokens in text, and carrying text through a template engine without it being read as markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MARK_OPEN, MARK_CLOSE = "\ufdd0", "\ufdd1"
"""Unicode noncharacters: private to a process, so no document means anything by them."""
MARK = re.compile(f"{MARK_OPEN}([a-z])(\\d+){MARK_CLOSE}")


def control_pattern(tokens: Iterable[str]) -> re.Pattern[str]:
    """A pattern for the longest of the tokens at each place; matches nothing when there are none.

    Written as a trie: vocabularies with thousands of reserved tokens would make a plain alternation slow at every '<'.
    """
    trie: dict[str, Any] = {}
    for token in tokens:
        node = trie
        for char in token:
            node = node.setdefault(char, {})
        if token:
            node[""] = {}
    return re.compile(_trie_source(trie) if trie else r"(?!)")


def _trie_source(node: Mapping[str, Any]) -> str:
    prefix = ""
    while len(node) == 1 and "" not in node:
        ((char, node),) = node.items()
        prefix += re.escape(char)
    branches = [re.escape(char) + _trie_source(child) for char, child in sorted(node.items()) if char]
    if not branches:
        return prefix
    return prefix + "(?:" + "|".join(branches) + ")" + ("?" if "" in node else "")


def mark(kind: str, number: int) -> str:
    """A placeholder that a template passes through untouched."""
    return f"{MARK_OPEN}{kind}{number}{MARK_CLOSE}"


class Guard:
    """Replaces what data must not say (control tokens, our own marks) by placeholders of kind 'p', and remembers it."""

    def __init__(self, control: re.Pattern[str]) -> None:
        self._control = control
        self.kept: list[str] = []

    def text(self, text: str) -> str:
        if MARK_OPEN in text or MARK_CLOSE in text:
            text = re.sub(f"[{MARK_OPEN}{MARK_CLOSE}]", self._keep, text)
            pieces = re.split(f"({MARK.pattern.replace('(', '(?:')})", text)
            return "".join(piece if i % 2 else self._control.sub(self._keep, piece) for i, piece in enumerate(pieces))
        return self._control.sub(self._keep, text)

    def tree(self, value: Any) -> Any:
        """The same JSON value with every string and key guarded."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.tree(child) for key, child in value.items()}
        if isinstance(value, Sequence):
            return [self.tree(child) for child in value]
        return value

    def _keep(self, match: re.Match[str]) -> str:
        self.kept.append(match.group())
        return mark("p", len(self.kept) - 1)
