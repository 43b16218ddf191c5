"""How far a command of several parts is, told to the process that records it (`jobs/recorded.py`).

Between the two stands a line on standard output, which no person sees: it is written where somebody listens alone.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

LISTENED = "TUNESMITH_STAGES"
_MARK = "\x1e"  # a record separator, as no text for people begins
_TOLD = re.compile(rf"{_MARK}([01]\.\d{{3}}) (.*)$")
_EVERY = 0.5  # seconds


class Stages:
    """Parts of equal size, each in words and with a share done of its own."""

    def __init__(self, words: str, clock: Callable[[], float] = time.monotonic) -> None:
        """words: the first part, which has begun."""
        self._listened = os.environ.get(LISTENED) == "1"
        self._clock = clock
        self._parts, self._part, self._words, self._share, self._said = 2, 0, words, 0.0, 0.0
        self._tell(0.0)

    def expect(self, parts: int) -> None:
        """So many parts come after the first."""
        self._parts = 1 + parts

    def begin(self, words: str) -> None:
        self._part, self._words = self._part + 1, words
        self._tell(0.0)

    def say(self, words: str) -> None:
        """The present part goes on with something else."""
        self._words = words
        self._tell(self._share)

    def report(self, done: int, total: int) -> None:
        """How far the present part is."""
        if self._clock() - self._said >= _EVERY and total > 0:
            self._tell(min(1.0, done / total))

    def _tell(self, share: float) -> None:
        self._share, self._said = share, self._clock()
        if self._listened:
            print(f"{_MARK}{min(1.0, (self._part + share) / self._parts):.3f} {self._words}", flush=True)


def heard(line: str) -> tuple[str, float, str] | None:
    """What stands before it in the line, the share of the whole, and the part in words; None where all of the line is
    for people."""
    found = _TOLD.search(line)
    return (line[: found.start()], float(found[1]), found[2]) if found else None
