"""What is asked of whoever answers, wherever it runs, and what comes back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Messages = Sequence[Mapping[str, str]]
"""{"role", "content"} in order, as the chat completions protocol has them."""
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. cut: it reached the limit of tokens. Tokens are the server's own count, or an estimate."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    cut: bool = False


def without_halves(text: str) -> str:
    """The text with a sign for each half of a character (lone surrogate), which no file and no request can hold."""
    return _HALF.sub("\N{REPLACEMENT CHARACTER}", text)


class Model(Protocol):
    """Something that answers."""

    name: str

    async def ask(self, messages: Messages, schema: Mapping[str, Any], most: int = 0) -> Reply:
        """One answer, wanted as JSON of that schema. AskFailed where this request gets none, UserError where none will.

        `schema` is a wish: the text may be anything. most: tokens that no sensible answer exceeds, where it is known.
        """
        ...


class AskFailed(Exception):
    """A request that was tried as often as it should be and got no answer; reason is one sentence.

    alone: it lies in what this request says, so that others may be answered.
    """

    def __init__(self, reason: str, *, alone: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.alone = reason, alone
