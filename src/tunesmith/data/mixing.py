"""Which rows of which data sets are trained on, and in what order: plans over indices, no data is touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.errors import UserError

Strategy = Literal["concat", "interleave_under", "interleave_over", "interleave_once"]
Indices = NDArray[np.int64]


def sample_rows(rows: int, num_samples: int | None, max_samples: int | None, seed: int) -> Indices:
    """Row numbers of one data set: `num_samples` drawn at random (again and again, where more than there are),
    of those, or of all, the first `max_samples`."""
    chosen = np.arange(rows)
    if num_samples is not None:
        generator = np.random.default_rng((seed, rows))
        passes = [generator.permutation(rows) for _ in range(-(-num_samples // rows))] if rows else []
        chosen = np.concatenate([chosen[:0], *passes])[:num_samples]
    return chosen[:max_samples]


def mix(
    sizes: Sequence[int], strategy: Strategy, probs: Sequence[float], seed: int
) -> tuple[NDArray[np.int16], Indices]:
    """(data set of each row, its index in that data set), both [rows], for data sets of these sizes.

    concat: one after the other. interleave_under: drawn in turn until the first is used up; _over: until each is, those
    used up starting again; _once: until each is, without any row coming twice.
    """
    if strategy == "concat" or len(sizes) == 1:
        which = np.repeat(np.arange(len(sizes), dtype=np.int16), sizes)
        rows = np.concatenate([np.arange(size, dtype=np.int64) for size in sizes])
        return which, rows
    taken = [0] * len(sizes)
    which_list, row_list = [], []
    for chosen in draws(len(sizes), probs, seed):
        if taken[chosen] >= sizes[chosen] and strategy == "interleave_once":
            if all(count >= size for count, size in zip(taken, sizes, strict=True)):
                break
            continue
        which_list.append(chosen)
        row_list.append(taken[chosen] % sizes[chosen])
        taken[chosen] += 1
        full = [count >= size for count, size in zip(taken, sizes, strict=True)]
        if all(full) or (strategy == "interleave_under" and any(full)):
            break
    return np.array(which_list, dtype=np.int16), np.array(row_list, dtype=np.int64)


def draws(count: int, probs: Sequence[float], seed: int) -> Iterator[int]:
    """Data set numbers without end: by probability, or in turn where none are given."""
    if not probs:
        while True:
            yield from range(count)
    weights = checked_probs(probs, count)
    generator = np.random.default_rng(seed)
    while True:
        yield from generator.choice(count, size=1024, p=weights).tolist()


def checked_probs(probs: Sequence[float], count: int) -> NDArray[np.float64]:
    """Probabilities that sum to 1, one per data set; UserError where their number or values can't be."""
    weights = np.asarray(probs, dtype=np.float64)
    if len(weights) != count or (weights <= 0).any():
        raise UserError(
            f"`interleave_probs` is {', '.join(map(str, probs))} for {count} data sets.",
            hint="Give one positive number for each data set, in their order.",
            field="interleave_probs",
        )
    return weights / weights.sum()


def split(rows: int, val_size: float, seed: int) -> tuple[Indices, Indices]:
    """(rows to train on, rows held back), both in file order; val_size: a share below 1, or a number of rows."""
    held = int(val_size) if val_size >= 1 else round(rows * val_size)
    if held >= rows or held == 0:
        raise UserError(
            f"`val_size: {val_size:g}` would hold back {held} of {rows} rows.",
            hint="Choose a size that leaves rows on both sides.",
            field="val_size",
        )
    return _drawn_apart(rows, held, seed)


def split_each(sizes: Sequence[int], val_size: float, seed: int) -> list[tuple[Indices, Indices]]:
    """As `split`, within each of several data sets: together they hold back `val_size`, each its share of it."""
    total = sum(sizes)
    share = len(split(total, val_size, seed)[1]) / total
    held = [int(size * share) for size in sizes]
    for _ in range(round(share * total) - sum(held)):
        room = [size * share - given if given + 1 < size else -np.inf for size, given in zip(sizes, held, strict=True)]
        most = int(np.argmax(room))
        if room[most] == -np.inf:
            raise UserError(
                f"`val_size: {val_size:g}` of {total} rows would leave a data set without rows to train on.",
                hint="Choose a smaller size.",
                field="val_size",
            )
        held[most] += 1
    return [_drawn_apart(size, given, seed) for size, given in zip(sizes, held, strict=True)]


def _drawn_apart(rows: int, held: int, seed: int) -> tuple[Indices, Indices]:
    order = np.random.default_rng((seed, rows)).permutation(rows)
    return np.sort(order[held:]), np.sort(order[:held])
