"""Documents cut into chunks by tokens, at headings, paragraphs and sentences, each with its exact place in the source.

The text of a document is its passages joined by a blank line; a chunk's `start` and `end` count characters of it.
Chunks of a document don't overlap: what stands before a chunk is handed along apart, as something to understand it by.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tunesmith.authoring.document import Passage

JOIN = "\n\n"
"""What stands between two passages in the text of a document."""

Count = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each of the texts."""

_PART, _SENTENCE, _PARAGRAPH, _SECTION = range(4)  # what begins at a place, and so how well it can be cut there
_SENTENCE_END = re.compile(
    r"[。！？；…]+[”’」』）》\"')\]]*"
    r"|(?<!\bMr)(?<!\bDr)(?<!\bMrs)(?<!\bSt)(?<!\b[A-Z])[.!?;]+[”’\"')\]]*\s+"
    r"|\n+"
)
_CLAUSE_END = re.compile(r"[，、：,:]+|\s+")
_CJK_SHARE, _OTHER_SHARE = 0.75, 0.27


def estimate_tokens(text: str) -> int:
    """About how many tokens a present-day vocabulary makes of a text: 0.75 a Chinese character, 0.27 another one.

    Characters are told apart by their bytes in UTF-8 (three and one), which is much faster than looking at each.
    """
    characters = len(text)
    wide = (len(text.encode("utf-8", "replace")) - characters) / 2
    return int(wide * _CJK_SHARE + (characters - wide) * _OTHER_SHARE) + 1 if text else 0


def estimate_all(texts: Sequence[str]) -> list[int]:
    return [estimate_tokens(text) for text in texts]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document. before: the end of what precedes it. page: where it begins.

    sections: (place in `text`, headings) where a new heading begins inside the chunk.
    """

    text: str
    start: int
    end: int
    tokens: int
    heading: tuple[str, ...] = ()
    page: int | None = None
    before: str = ""
    sections: tuple[tuple[int, tuple[str, ...]], ...] = ()

    @property
    def hash(self) -> str:
        """16 hexadecimal digits of the text's SHA-256."""
        return hashlib.sha256(self.text.encode("utf-8", "replace")).hexdigest()[:16]

    @property
    def shown(self) -> str:
        """The text with the headings that begin inside it, as a reader of the document sees them."""
        parts, at = [], 0
        for place, heading in self.sections:
            parts += [self.text[at:place], f"# {' > '.join(heading)}\n\n"]
            at = place
        return "".join([*parts, self.text[at:]])


@dataclass(slots=True)
class _Piece:
    """A sentence or a part of one. rank: what begins with it."""

    text: str
    start: int
    tokens: int
    rank: int
    passage: Passage


def cut(passages: Iterable[Passage], *, size: int = 2048, overlap: int = 128, count: Count = estimate_all) -> Iterator[
    Chunk
]:  # fmt: skip
    """Chunks of at most `size` tokens, cut at the best place in their second half: a heading, else a paragraph, else a
    sentence, else a clause. overlap: tokens of what precedes, in whole sentences, given as `before`.

    Works as the passages come; memory is for one chunk.
    """
    held: list[_Piece] = []
    total = 0
    before = ""
    for piece in _pieces(passages, size, count):
        while held and total + piece.tokens > size:
            at = _best_cut([*held, piece], size)
            if any(piece.text.strip() for piece in held[:at]):
                yield _chunk(held[:at], before)
            before = _tail(held[:at], overlap)
            held = held[at:]
            total = sum(each.tokens for each in held)
        held.append(piece)
        total += piece.tokens
    if any(piece.text.strip() for piece in held):
        yield _chunk(held, before)


def _pieces(passages: Iterable[Passage], size: int, count: Count) -> Iterator[_Piece]:
    at, heading = 0, None
    for passage in passages:
        rank = _PARAGRAPH if heading in (None, passage.heading) else _SECTION
        heading = passage.heading
        joint = 1 if at else 0  # for the blank line
        texts = list(_sentences(passage.text))
        for text, tokens in zip(texts, count(texts), strict=True):
            for part, share in _parts(text, tokens, size):
                yield _Piece(part, at, share + joint, rank, passage)
                at += len(part)
                rank, joint = _PART, 0
            rank = _PARAGRAPH if text.endswith("\n") else _SENTENCE
        at += len(JOIN)


def _sentences(text: str) -> Iterator[str]:
    at = 0
    for match in _SENTENCE_END.finditer(text):
        yield text[at : match.end()]
        at = match.end()
    if at < len(text):
        yield text[at:]


def _parts(text: str, tokens: int, size: int) -> Iterator[tuple[str, int]]:
    """A sentence that is too long for a chunk, in parts that are not; their tokens by their share of the characters."""
    if tokens <= size:
        yield text, tokens
        return
    longest = max(1, int(len(text) * size / tokens * 0.9))
    at = 0
    while at < len(text):
        end = min(len(text), at + longest)
        if end < len(text):
            ends = [found.end() for found in _CLAUSE_END.finditer(text, at + longest // 2, end)]
            end = ends[-1] if ends else end
        yield text[at:end], max(1, round(tokens * (end - at) / len(text)))
        at = end


def _best_cut(pieces: Sequence[_Piece], size: int) -> int:
    """Before which piece to cut; the last of `pieces` no longer fits."""
    best, held = len(pieces) - 1, 0
    for at, piece in enumerate(pieces):
        if at and held >= size / 2 and (piece.rank, at) > (pieces[best].rank, best):
            best = at
        held += piece.tokens
    return best


def _chunk(pieces: Sequence[_Piece], before: str) -> Chunk:
    start, sections = pieces[0].start, []
    heading = pieces[0].passage.heading
    for piece in pieces:
        if piece.passage.heading != heading:
            heading = piece.passage.heading
            sections.append((piece.start - start, heading))
    text = _joined(pieces)
    lead = len(text) - len(text.lstrip())
    text, start = text.strip(), start + lead
    return Chunk(
        text,
        start,
        start + len(text),
        sum(piece.tokens for piece in pieces),
        pieces[0].passage.heading,
        pieces[0].passage.page,
        before,
        tuple((place - lead, heading) for place, heading in sections if lead <= place < lead + len(text)),
    )


def _tail(pieces: Sequence[_Piece], overlap: int) -> str:
    """The last sentences of a chunk that together have at most `overlap` tokens."""
    first = len(pieces)
    while first and (overlap := overlap - pieces[first - 1].tokens) >= 0:
        first -= 1
    return _joined(pieces[first:]).strip()


def _joined(pieces: Sequence[_Piece]) -> str:
    """Their text as it stands in the document."""
    texts: list[str] = []
    for before, piece in zip([None, *pieces], pieces, strict=False):
        if before is not None and piece.start > before.start + len(before.text):
            texts.append(JOIN)
        texts.append(piece.text)
    return "".join(texts)
