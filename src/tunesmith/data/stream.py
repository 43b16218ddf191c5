"""Data read while training (`streaming`): rows are shuffled in a buffer, tokenized in windows, and never all held.

The order is a pure function of the seed; a position says how far it has been followed, so that resuming is exact.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.catalog import DatasetEntry
from tunesmith.data.examples import ExampleReader, Refusal, Refusals
from tunesmith.data.mixing import Strategy, draws
from tunesmith.data.packing import pack
from tunesmith.data.sources import SourceRow, locate
from tunesmith.data.tokenize import TokenizeOptions, open_dataset, usable_samples
from tunesmith.errors import UserError

if TYPE_CHECKING:
    from tunesmith.text.encode import TokenSample

StreamRow = tuple[int, SourceRow]
Unit = list["TokenSample"]


@dataclass(frozen=True, slots=True)
class Position:
    """How far a stream has been followed: epoch, rows drawn in it before the current window, units used of that."""

    epoch: int = 0
    rows: int = 0
    units: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """How rows are drawn. held: rows at the head that are kept for evaluation. cutoff: row length of packs, or None."""

    strategy: Strategy = "concat"
    probs: Sequence[float] = ()
    buffer_size: int = 16384
    shuffle: bool = True
    seed: int = 42
    held: int = 0
    cutoff: int | None = None
    window: int = 1000


class MemoryStore:
    """A few samples kept in memory, as a store."""

    def __init__(self, samples: Sequence[TokenSample]) -> None:
        self._samples = tuple(samples)
        self.lengths: NDArray[np.int64] = np.array([len(sample.input_ids) for sample in samples], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def tokens(self) -> int:
        return int(self.lengths.sum())

    def ids(self, row: int) -> NDArray[np.int32]:
        return self._samples[row].input_ids

    def weights(self, row: int) -> NDArray[np.float32]:
        return self._samples[row].weights


class SampleStream:
    """Token samples of several data sets without end, epoch after epoch; a unit is a sample or a pack of samples."""

    def __init__(
        self, entries: Sequence[DatasetEntry], options: TokenizeOptions, settings: StreamSettings, cache_dir: Path
    ) -> None:
        self._options = options
        self._settings = settings
        self._files = [locate(entry, cache_dir) for entry in entries]
        self._entries = entries
        opened = zip(entries, self._files, strict=True)
        layouts = [open_dataset(entry, files, options.stage)[0] for entry, files in opened]
        self._readers = [ExampleReader(layout, options.placeholders) for layout in layouts]
        self.notes = tuple(note for layout in layouts for note in layout.notes)
        self.refusals = Refusals()

    def held_back(self) -> MemoryStore:
        """The first `held` rows, for evaluation; no epoch trains on them."""
        rows = list(itertools.islice(self._mixed(), self._settings.held))
        return MemoryStore(self._encode(rows, self.refusals))

    def units(self, position: Position = Position()) -> Iterator[tuple[Unit, Position]]:
        """Units from a position on, each with the position after it."""
        size = self._settings.window
        epoch, skip = position.epoch, position.units
        at = position.rows
        while True:
            refusals = self.refusals if epoch == 0 else Refusals()  # each row is counted once
            rows = itertools.islice(self._shuffled(epoch), at, None)
            empty = at == 0 and skip == 0
            while window := list(itertools.islice(rows, size)):
                units = self._grouped(self._encode(window, refusals))
                for number in range(skip, len(units)):
                    yield units[number], Position(epoch, at, number + 1)
                    empty = False
                at, skip = at + len(window), 0
            if empty:
                raise UserError(
                    f"No row of the data can be used: {next(iter(self.refusals.reasons()), 'there are none')}.",
                    field="dataset",
                )
            epoch, at, skip = epoch + 1, 0, 0

    def _grouped(self, samples: list[TokenSample]) -> list[Unit]:
        if self._settings.cutoff is None:
            return [[sample] for sample in samples]
        lengths = np.array([len(sample.input_ids) for sample in samples], dtype=np.int64)
        return [[samples[i] for i in row] for row in pack(lengths, self._settings.cutoff)]

    def _encode(self, rows: Sequence[StreamRow], refusals: Refusals) -> list[TokenSample]:
        strict, examples = self._options.strict, []
        for which, row in rows:
            read = self._readers[which].read(row)
            if isinstance(read, Refusal):
                refusals.add(read, strict=strict)
            else:
                examples.append(read)
        return list(usable_samples(examples, self._options.encoder, refusals, strict))

    def _shuffled(self, epoch: int) -> Iterator[StreamRow]:
        """The rows of an epoch, each drawn from a buffer that the next row refills."""
        rows = itertools.islice(self._mixed(), self._settings.held, None)
        if not self._settings.shuffle:
            yield from rows
            return
        draw = random.Random(f"{self._settings.seed}/{epoch}")
        buffer = list(itertools.islice(rows, self._settings.buffer_size))
        for row in rows:
            place = draw.randrange(len(buffer))
            yield buffer[place]
            buffer[place] = row
        draw.shuffle(buffer)
        yield from buffer

    def _mixed(self) -> Iterator[StreamRow]:
        """The rows of all data sets, in the same order each time."""
        settings, count = self._settings, len(self._entries)
        if settings.strategy == "concat" or count == 1:
            for which in range(count):
                yield from self._rows(which)
            return
        streams = [self._rows(which) for which in range(count)]
        used_up: set[int] = set()
        for which in draws(count, settings.probs, settings.seed):
            row = next(streams[which], None)
            if row is None:
                used_up.add(which)
                if settings.strategy == "interleave_under" or len(used_up) == count:
                    return
                if settings.strategy == "interleave_once":
                    continue
                streams[which] = self._rows(which)
                row = next(streams[which])
            yield row

    def _rows(self, which: int) -> Iterator[StreamRow]:
        for row in open_dataset(self._entries[which], self._files[which], self._options.stage)[1]:
            yield which, row


class UnitReader:
    """Follows a stream by numbered groups of units; going back, or far ahead, starts over from a known position."""

    def __init__(self, stream: Callable[[Position], Iterator[tuple[Unit, Position]]], group: int) -> None:
        self._stream = stream
        self._group = group
        self._known = (0, Position())
        self._units = stream(Position())
        self._next = 0
        self.position = Position()

    def seek(self, number: int, position: Position) -> None:
        """Say that group `number` starts at a position that was read off earlier."""
        self._known = (number, position)
        self._units, self._next, self.position = self._stream(position), number, position

    def group(self, number: int) -> list[Unit]:
        """Group `number` of units, counted from 0."""
        if number < self._next:
            start, position = self._known if self._known[0] <= number else (0, Position())
            self._units, self._next, self.position = self._stream(position), start, position
        while True:
            taken = list(itertools.islice(self._units, self._group))
            self.position = replace(taken[-1][1])
            self._next += 1
            if self._next > number:
                return [unit for unit, _ in taken]
