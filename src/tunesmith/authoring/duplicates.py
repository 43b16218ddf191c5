"""Near-duplicate texts, found by MinHash and confirmed by comparing them."""

from __future__ import annotations

import re
import unicodedata

from tunesmith.authoring.language import CJK

_PERMUTATIONS = 128
_FOUND = 0.99  # share of the pairs at the very threshold that the index finds
_NUMBER = re.compile(r"\d+|第[一二三四五六七八九十百零]+")
_CJK = re.compile(f"[{CJK}]")


class Duplicates:
    """Remembers texts and tells which one a new text is too much like.

    threshold: share of the pieces of both texts (three letters, two CJK characters) that they have in common; 1 means
    that only texts are alike that differ in case, punctuation and width of characters alone.
    """

    def __init__(self, threshold: float = 0.8) -> None:
        from rensa import RMinHashLSH

        self._threshold = threshold
        # Bands find more than enough: what they find is compared in full.
        self._index = RMinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS, num_bands=_bands(threshold))
        self._texts: list[str] = []
        self._same: dict[str, int] = {}

    def earlier(self, text: str) -> int | None:
        """Which text, counted from 0 in the order of asking, it repeats; None, and it is remembered, where none."""
        from rensa import RMinHash

        plain = _plain(text)
        if plain in self._same:
            return self._same[plain]
        pieces = _pieces(plain)
        number = len(self._texts)
        if self._threshold < 1 and pieces:
            sketch = RMinHash(num_perm=_PERMUTATIONS, seed=42)
            sketch.update(sorted(pieces))
            for found in sorted(self._index.query(sketch)):
                if self._alike(plain, pieces, self._texts[found]):
                    return int(found)
            self._index.insert(number, sketch)
        self._texts.append(plain)
        self._same[plain] = number
        return None

    def _alike(self, plain: str, pieces: set[str], other: str) -> bool:
        if _NUMBER.findall(plain) != _NUMBER.findall(other):  # 1998 and 1999 are not the same question
            return False
        theirs = _pieces(other)
        return len(pieces & theirs) >= self._threshold * len(pieces | theirs)


def _bands(threshold: float) -> int:
    """Into how many bands a sketch is cut: as few as find pairs of that likeness (1 - (1 - t^rows)^bands of them)."""
    fine = (rows for rows in (4, 2) if (1 - threshold**rows) ** (_PERMUTATIONS // rows) <= 1 - _FOUND)
    return _PERMUTATIONS // next(fine, 1)


def _plain(text: str) -> str:
    """Its words alone, whatever their case and width."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def _pieces(text: str) -> set[str]:
    size = 2 if _CJK.search(text) else 3
    return {text[at : at + size] for at in range(max(1, len(text) - size + 1))} if text else set()
