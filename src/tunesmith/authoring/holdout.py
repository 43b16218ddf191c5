"""Which groups of rows are held back for validation."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TypeVar

Group = TypeVar("Group", str, bytes)


def validation_groups(sizes: Mapping[Group, int], wanted: float, seed: int) -> set[Group]:
    """Groups (documents, chunks, questions) whose rows are kept apart; at least one of several, and never all.

    sizes: rows by group. wanted: below 1 a share of all rows, else a number. Groups are drawn, and each is taken that
    does not lead farther away from what is wanted; where all of them do, the smallest is.
    """
    target = wanted * sum(sizes.values()) if wanted < 1 else wanted
    drawn = sorted(sizes)
    random.Random(seed).shuffle(drawn)
    apart: list[Group] = []
    held = 0
    for group in drawn:
        if abs(held + sizes[group] - target) <= abs(held - target):
            apart.append(group)
            held += sizes[group]
    if not apart and drawn:
        apart = [min(drawn, key=lambda group: sizes[group])]
    return set(apart if len(apart) < len(drawn) else apart[:-1])
