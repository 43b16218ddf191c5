"""What was there before, known by digests: 16 bytes for each, however many there are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
NOWHERE = -1


class Seen:
    """Digests of what was seen, and for each a number told with the first of its kind.

    They lie in sorted runs, of which one is merged with the next when that has grown to half its size: there are few,
    and each digest is moved a few times only.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Numbers, Numbers]] = []

    def __len__(self) -> int:
        return sum(len(digests) for digests, _ in self._runs)

    def find(self, digests: Numbers) -> Numbers:
        """The number told with each digest, NOWHERE for one that was not seen. digests: int64 [N]."""
        found = np.full(len(digests), NOWHERE, dtype=np.int64)
        for known, numbers in self._runs:
            at = np.minimum(np.searchsorted(known, digests), len(known) - 1)
            there = known[at] == digests
            found[there] = numbers[at[there]]
        return found

    def add(self, digests: Numbers, numbers: Numbers) -> Numbers:
        """Add them in order; returns for each the number told with the first of its kind before it, or NOWHERE.

        digests, numbers: int64 [N], numbers from 0.
        """
        kinds, first, which = np.unique(digests, return_index=True, return_inverse=True)
        earlier = self.find(kinds)
        new = earlier == NOWHERE
        before = np.where(new, numbers[first], earlier)[which]
        before[first[new]] = NOWHERE
        if new.any():
            self._push(kinds[new], numbers[first[new]])
        return before

    def _push(self, digests: Numbers, numbers: Numbers) -> None:
        self._runs.append((digests, numbers))
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= 2 * len(self._runs[-1][0]):
            last, next_to_last = self._runs.pop(), self._runs.pop()
            together = np.concatenate((next_to_last[0], last[0]))
            order = np.argsort(together, kind="stable")
            self._runs.append((together[order], np.concatenate((next_to_last[1], last[1]))[order]))


def as_numbers(digests: Sequence[bytes]) -> Numbers:
    """Digests of 8 bytes as int64 [N]."""
    return np.frombuffer(b"".join(digests), dtype=np.int64).copy()
