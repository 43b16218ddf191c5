"""Batches out of samples. The order is a pure function of seed and step, so resuming replays nothing.

Here, and only here, targets are shifted: the weight of a target is that of the token it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tunesmith.batch import Batch
from tunesmith.data.examples import Refusal
from tunesmith.data.packing import pack
from tunesmith.data.stream import Position, SampleStream, Unit, UnitReader
from tunesmith.data.tokens import SampleStore

Packing = Literal["none", "packed", "neat"]
Segment = tuple[NDArray[np.int32], NDArray[np.float32]]


def make_batch(segments: Sequence[Segment], *, trained: bool = True) -> Batch:
    """A batch of (ids [T], weights [T]) segments laid end to end; with trained=False every weight is 0."""
    lengths = np.array([len(ids) for ids, _ in segments])
    borders = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.concatenate([ids for ids, _ in segments]).astype(np.int64)
    weights = np.concatenate([weights for _, weights in segments]).astype(np.float32)
    last = borders[1:] - 1
    targets, shifted = np.roll(ids, -1), np.roll(weights, -1)
    targets[last], shifted[last] = 0, 0.0
    return Batch(
        input_ids=torch.from_numpy(ids),
        targets=torch.from_numpy(targets),
        weights=torch.from_numpy(shifted if trained else np.zeros_like(shifted)),
        positions=torch.from_numpy(np.arange(len(ids)) - np.repeat(borders[:-1], lengths)),
        cu_seqlens=torch.from_numpy(borders.astype(np.int32)),
    )


def join(segments: Sequence[Segment]) -> Segment:
    """Several samples as one segment, in which attention crosses and positions run on."""
    return np.concatenate([ids for ids, _ in segments]), np.concatenate([weights for _, weights in segments])


class BatchLoader:
    """The micro-batches of each optimizer step, for one rank of a world.

    A row is a sample, or a pack of samples (`packed`: one segment; `neat`: a segment each). `batch_size` rows a
    micro-batch and rank, `accumulation` micro-batches a step; the last step of an epoch takes what is left. Where rows
    run out before every rank has one, a rank without gets a row of weight 0, so that all ranks keep step.
    """

    def __init__(
        self,
        store: SampleStore,
        *,
        batch_size: int,
        accumulation: int = 1,
        seed: int = 42,
        shuffle: bool = True,
        rank: int = 0,
        world: int = 1,
        packing: Packing = "none",
        cutoff: int = 2048,
    ) -> None:
        assert 0 <= rank < world and batch_size > 0 and accumulation > 0
        self._store = store
        self._batch_size = batch_size
        self._accumulation = accumulation
        self._seed = seed
        self._shuffle = shuffle
        self._rank = rank
        self._world = world
        self._joined = packing == "packed"
        self._plan = None if packing == "none" else pack(store.lengths, cutoff)
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, dtype=np.int64))
        self.rows = len(store) if self._plan is None else len(self._plan)
        self.batches_per_epoch = -(-self.rows // (batch_size * world))
        self.steps_per_epoch = -(-self.batches_per_epoch // accumulation)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Row numbers in the order of an epoch, int64 [rows]."""
        if not self._shuffle:
            return np.arange(self.rows)
        if self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng((self._seed, epoch)).permutation(self.rows))
        return self._order[1]

    def step(self, number: int) -> list[Batch]:
        """This rank's micro-batches of optimizer step `number`, counted from 0 over all epochs."""
        epoch, within = divmod(number, self.steps_per_epoch)
        first = within * self._accumulation
        last = min(first + self._accumulation, self.batches_per_epoch)
        order = self.order(epoch)
        return [self._batch(order, micro) for micro in range(first, last)]

    def _batch(self, order: NDArray[np.int64], micro: int) -> Batch:
        size = self._batch_size * self._world
        rows = order[micro * size : (micro + 1) * size]
        mine = np.array_split(rows, self._world)[self._rank]
        if not len(mine):
            return make_batch(self._segments(int(rows[0])), trained=False)
        return make_batch([segment for row in mine.tolist() for segment in self._segments(row)])

    def _segments(self, row: int) -> list[Segment]:
        samples = [row] if self._plan is None else self._plan[row].tolist()
        segments = [(self._store.ids(sample), self._store.weights(sample)) for sample in samples]
        return [join(segments)] if self._joined else segments


class StreamLoader:
    """As BatchLoader, of a stream: the order is again a pure function of seed and step, but going there takes reading.

    `position` after step n, given to `seek(n + 1, position)`, lets a resumed run go on at once.
    """

    def __init__(
        self,
        stream: SampleStream,
        *,
        batch_size: int,
        joined: bool,
        accumulation: int = 1,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """joined: units of several samples are one segment (`packing` without `neat_packing`)."""
        self._stream = stream
        self._reader = UnitReader(stream.units, batch_size * accumulation * world)
        self._accumulation = accumulation
        self._rank = rank
        self._world = world
        self._joined = joined

    @property
    def position(self) -> Position:
        """Where the stream stands after the last step that was asked for."""
        return self._reader.position

    def take_refusals(self) -> list[Refusal]:
        """The rows refused while reading since the last call."""
        return self._stream.take_refusals()

    def seek(self, number: int, position: Position) -> None:
        """Say where step `number` starts."""
        self._reader.seek(number, position)

    def step(self, number: int) -> list[Batch]:
        """This rank's micro-batches of optimizer step `number`, counted from 0."""
        units = self._reader.group(number)
        size = len(units) // self._accumulation
        share = size // self._world
        starts = range(self._rank * share, len(units), size)
        return [make_batch([s for unit in units[i : i + share] for s in self._segments(unit)]) for i in starts]

    def _segments(self, unit: Unit) -> list[Segment]:
        segments = [(sample.input_ids, sample.weights) for sample in unit]
        return [join(segments)] if self._joined else segments


def eval_batches(store: SampleStore, *, batch_size: int, rank: int = 0, world: int = 1) -> Iterator[Batch]:
    """All samples once, in file order, each a segment; every rank yields the same number of batches."""
    loader = BatchLoader(store, batch_size=batch_size, shuffle=False, rank=rank, world=world)
    for number in range(loader.steps_per_epoch):
        yield from loader.step(number)
