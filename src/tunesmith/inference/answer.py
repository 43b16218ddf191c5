"""An answer while it is generated, and what it was once it is whole."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from tunesmith.inference.decoding import Detokenizer, Piece, Sorter, until
from tunesmith.text.conversation import Message
from tunesmith.text.tools import ToolFormat


@dataclass(frozen=True, slots=True)
class Ends:
    """What ends an answer: ids of tokens, and texts of those that this vocabulary spells with several tokens."""

    ids: frozenset[int]
    texts: tuple[str, ...] = ()


class Answer:
    """Iterate once for the pieces as they come; leaving off early ends the generation.

    finish: `stop`, the model ended it; `length`, it reached the limit; None, it is not at its end.
    prompt_tokens, tokens: of the question with all before it, and of the answer up to now.
    """

    def __init__(
        self,
        tokens: Iterable[int],
        detokenizer: Detokenizer,
        ends: Ends,
        *,
        thinking: bool,
        tools: ToolFormat,
        tools_offered: bool,
        prompt_tokens: int,
    ) -> None:
        """thinking: the prompt has opened the reasoning already."""
        self.finish: Literal["stop", "length"] | None = None
        self.prompt_tokens, self.tokens = prompt_tokens, 0
        self._source, self._detokenizer, self._ends = tokens, detokenizer, ends
        self._sorter, self._tools, self._offered = Sorter(thinking=thinking), tools, tools_offered
        self._pieces: list[Piece] = []

    def __iter__(self) -> Generator[Piece]:
        for text in until(self._texts(), self._ends.texts):
            yield from self._kept(self._sorter.push(text))
        # Only a stop that is spelled out ends the texts before the tokens are at their end.
        self.finish = self.finish or "stop"
        yield from self._kept(self._sorter.flush())

    @property
    def message(self) -> Message:
        """What was answered up to now, as a turn of the conversation."""
        thought = "".join(piece.text for piece in self._pieces if piece.kind == "thinking").strip("\n")
        text = self.text
        called = self._offered or any(piece.kind == "call" for piece in self._pieces)
        text, calls = self._tools.parse(text) if called else (text, ())
        return Message("assistant", text, thought or None, calls)

    @property
    def text(self) -> str:
        """What was said up to now, tool calls as they were spelled; without the reasoning."""
        return "".join(piece.text for piece in self._pieces if piece.kind != "thinking")

    @property
    def called(self) -> list[str]:
        """The tool calls as the model spelled them, in one text where there are any."""
        spelled = "".join(piece.text for piece in self._pieces if piece.kind == "call")
        return [spelled] if spelled else []

    def _texts(self) -> Iterator[str]:
        for token in self._source:
            self.tokens += 1
            if token in self._ends.ids:
                self.finish = "stop"
                break
            yield self._detokenizer.push(token)
        else:
            self.finish = "length"
        yield self._detokenizer.flush()

    def _kept(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            self._pieces.append(piece)
            yield piece
