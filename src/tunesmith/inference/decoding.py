"""From tokens to what is shown, piece by piece: whole characters, answer apart from reasoning and tool calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from tunesmith.text.tokenizer import Tokenizer

Kind = Literal["text", "thinking", "call"]

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
_CALL_OPEN, _CALL_CLOSE, _CALLS = "<tool_call>", "</tool_call>", "[TOOL_CALLS]"
_INCOMPLETE = "\ufffd"  # what a decoder shows for the first bytes of a character that is not whole yet
_ENTERS: dict[Kind, dict[str, Kind]] = {
    "text": {THINK_OPEN: "thinking", _CALL_OPEN: "call", _CALLS: "call"},
    "thinking": {THINK_CLOSE: "text"},
    "call": {_CALL_CLOSE: "text"},
}


class Piece(NamedTuple):
    """A bit of an answer. kind: what it says, how it reasons, or the spelling of a tool call with its marks."""

    text: str
    kind: Kind


class Detokenizer:
    """Tokens in, text out as soon as its characters are whole; the cost of a token does not grow with the answer.

    Marks of reasoning and of tool calls always come out, also where the tokenizer counts them as special.
    """

    def __init__(self, tokenizer: Tokenizer, *, skip_special_tokens: bool) -> None:
        self._tokenizer, self._skip = tokenizer, skip_special_tokens
        marks = (THINK_OPEN, THINK_CLOSE, _CALL_OPEN, _CALL_CLOSE, _CALLS)
        ids = {mark: tokenizer.id_of(mark) for mark in marks}
        self._marks = {id: mark for mark, id in ids.items() if id is not None}
        # The tokens of the last text that came out stay, because how a token reads depends on the one before it.
        self._ids: list[int] = []
        self._out = 0

    def push(self, token: int) -> str:
        """The text that this token makes whole."""
        if token in self._marks:
            return self.flush() + self._marks[token]
        self._ids.append(token)
        text = self._decode(self._ids)
        known = self._decode(self._ids[: self._out])
        if text.endswith(_INCOMPLETE) or len(text) <= len(known):
            return ""
        self._ids = self._ids[self._out :]
        self._out = len(self._ids)
        return text[len(known) :]

    def flush(self) -> str:
        """What is left, whole or not."""
        rest = self._decode(self._ids)[len(self._decode(self._ids[: self._out])) :]
        self._ids, self._out = [], 0
        return rest

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=self._skip)


def until(texts: Iterable[str], stops: tuple[str, ...]) -> Iterator[str]:
    """The texts up to the first stop, which may come in several of them; the stop itself is left out."""
    held = ""
    for text in texts:
        held += text
        found = [at for stop in stops if (at := held.find(stop)) >= 0]
        if found:
            yield held[: min(found)]
            return
        ready = len(held) - _begun(held, stops)
        yield held[:ready]
        held = held[ready:]
    yield held


class Sorter:
    """Tells apart what an answer says, how it reasons and what it calls. Marks may come in several texts."""

    def __init__(self, *, thinking: bool) -> None:
        """thinking: the prompt has opened the reasoning already."""
        self._kind: Kind = "thinking" if thinking else "text"
        self._held = ""
        self._said = False  # reasoning comes before anything is said; later its mark is only talked about
        self._fresh = thinking  # line breaks after a mark belong to the mark

    def push(self, text: str) -> Iterator[Piece]:
        """What is certain with this text; the begin of a possible mark is kept back."""
        self._held += text
        while mark := self._mark():
            before, _, self._held = self._held.partition(mark)
            yield from self._piece(before)
            yield from self._enter(mark)
        ready = len(self._held) - _begun(self._held, _ENTERS[self._kind])
        text, self._held = self._held[:ready], self._held[ready:]
        yield from self._piece(text)

    def flush(self) -> Iterator[Piece]:
        """What was kept back."""
        text, self._held = self._held, ""
        yield from self._piece(text)

    def _mark(self) -> str | None:
        """The first mark that means something here."""
        found = {mark: at for mark in _ENTERS[self._kind] if (at := self._held.find(mark)) >= 0}
        if THINK_OPEN in found and (self._said or self._held[: found[THINK_OPEN]].strip()):
            del found[THINK_OPEN]
        return min(found, key=lambda mark: found[mark], default=None)

    def _enter(self, mark: str) -> Iterator[Piece]:
        before, self._kind = self._kind, _ENTERS[self._kind][mark]
        self._fresh = self._kind != "call"
        if "call" in (before, self._kind):
            yield Piece(mark, "call")

    def _piece(self, text: str) -> Iterator[Piece]:
        if self._fresh:
            text = text.lstrip("\n")
        if text:
            self._fresh = False
            self._said = self._said or (self._kind == "text" and not text.isspace())
            yield Piece(text, self._kind)


def _begun(text: str, marks: Iterable[str]) -> int:
    """How many characters at the end of the text may be the begin of a mark."""
    return max((n for mark in marks for n in range(1, len(mark)) if text.endswith(mark[:n])), default=0)
