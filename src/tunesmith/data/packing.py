"""Which samples share a row: a plan from lengths alone."""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np
from numpy.typing import NDArray

Plan = list[NDArray[np.int64]]
WINDOW = 10_000  # samples that are packed among each other; larger hardly fills better


def pack(lengths: NDArray[np.int64], cutoff: int, window: int = WINDOW) -> Plan:
    """Samples of each row, for rows of at most `cutoff` tokens; a longer sample has a row to itself.

    Best fit, longest first, among each `window` samples in file order: the plan doesn't depend on epoch or rank.
    """
    plan: Plan = []
    for start in range(0, len(lengths), window):
        part = lengths[start : start + window]
        plan += [np.array(sorted(start + i for i in row), dtype=np.int64) for row in _best_fit(part, cutoff)]
    return plan


def _best_fit(lengths: NDArray[np.int64], cutoff: int) -> list[list[int]]:
    """Each sample, longest first, goes into the fullest row that still has room for it."""
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (tokens left, row), ascending
    for index in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[index])
        place = bisect_left(room, (length, -1))
        if place == len(room):
            rows.append([index])
            left, row = cutoff - length, len(rows) - 1
        else:
            left, row = room.pop(place)
            rows[row].append(index)
            left -= length
        if left > 0:
            insort(room, (left, row))
    return rows
