"""Data read while training (`streaming`): rows are shuffled in a buffer, tokenized in windows, and never all held.

The order is a pure function of the seed; a position says how far it has been followed, so that resuming is exact.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.entry import DatasetEntry
from tunesmith.data.examples import ExampleReader, Refusal, Refusals
from tunesmith.data.mixing import Strategy, draws
from tunesmith.data.packing import pack
from tunesmith.data.sources import SourceRow, locate
from tunesmith.data.tokenize import TokenizeOptions, open_dataset, usable_samples
from tunesmith.data.tokens import ChunkedStore, SampleStore
from tunesmith.errors import UserError
from tunesmith.text.encode import TokenSample

StreamRow = tuple[int, SourceRow]
Unit = list[TokenSample]


@dataclass(frozen=True, slots=True)
class Position:
    """How far a stream has been followed: epoch, rows drawn in it before the current window, units used of that.

    Where documents are laid end to end, units are tokens.
    """

    epoch: int = 0
    rows: int = 0
    units: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """How rows are drawn. held: usable rows at the head that are kept for evaluation. cutoff: row length of packs, or
    None. chunked: samples are laid end to end and cut every `cutoff` tokens, as ChunkedStore does."""

    strategy: Strategy = "concat"
    probs: Sequence[float] = ()
    buffer_size: int = 16384
    shuffle: bool = True
    seed: int = 42
    held: int = 0
    cutoff: int | None = None
    chunked: bool = False
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
        self._counted = 0  # rows of the first epoch whose refusals are among these
        self._taken = 0

    def take_refusals(self) -> list[Refusal]:
        """The rows refused since the last call, each once however often the stream is followed from its start."""
        new = self.refusals.listed[self._taken :]
        self._taken += len(new)
        return new

    def held_back(self) -> SampleStore:
        """The first `held` usable rows, for evaluation; no epoch trains on them."""
        store = MemoryStore(self._head[0])
        cutoff = self._settings.cutoff
        return ChunkedStore(store, cutoff) if self._settings.chunked and cutoff is not None else store

    def units(self, position: Position = Position()) -> Iterator[tuple[Unit, Position]]:
        """Units from a position on, each with the position after it."""
        follow = self._chunks if self._settings.chunked else self._groups
        while True:
            empty = position.rows == 0 and position.units == 0
            for unit, after in follow(position):
                yield unit, after
                empty = False
            if empty:
                raise UserError(
                    f"No row of the data can be used: {next(iter(self.refusals.reasons()), 'there are none')}.",
                    field="dataset",
                )
            position = Position(position.epoch + 1)

    def _groups(self, position: Position) -> Iterator[tuple[Unit, Position]]:
        """The samples, or packs of samples, of an epoch from a position on."""
        for at, samples in self._windows(position):
            units = self._grouped(samples)
            for number in range(position.units if at == position.rows else 0, len(units)):
                yield units[number], Position(position.epoch, at, number + 1)

    def _chunks(self, position: Position) -> Iterator[tuple[Unit, Position]]:
        """The samples of an epoch from a position on, laid end to end and cut; the last chunk may be shorter."""
        length = self._settings.cutoff
        assert length is not None
        ids, weights = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
        for at, samples in self._windows(position):
            used = position.units if at == position.rows else 0
            start = used - len(ids)  # of the carried rest, counted in tokens of this window
            ids = np.concatenate([ids, np.concatenate([ids[:0], *(one.input_ids for one in samples)])[used:]])
            weights = np.concatenate([weights, np.concatenate([weights[:0], *(one.weights for one in samples)])[used:]])
            full = len(ids) - len(ids) % length
            for end in range(length, full + 1, length):
                chunk = TokenSample(ids[end - length : end], weights[end - length : end])
                yield [chunk], Position(position.epoch, at, start + end)
            ids, weights = ids[full:], weights[full:]
        if len(ids):
            yield [TokenSample(ids, weights)], Position(position.epoch + 1)

    def _windows(self, position: Position) -> Iterator[tuple[int, list[TokenSample]]]:
        """(rows drawn before it, its samples) for each window of an epoch from a position on."""
        at = position.rows
        rows = itertools.islice(self._shuffled(position.epoch), at, None)
        while window := list(itertools.islice(rows, self._settings.window)):
            half_used = at == position.rows and position.units > 0  # before this process, which has told of its rows
            new = position.epoch == 0 and at >= self._counted and not half_used
            samples = self._encode(window, self.refusals if new else Refusals())
            if position.epoch == 0:
                self._counted = max(self._counted, at + len(window))
            yield at, samples
            at += len(window)

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
        held = self._head[1]
        rows = itertools.islice(self._mixed(held), sum(held.values()), None)
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

    @cached_property
    def _head(self) -> tuple[list[TokenSample], Mapping[int, int]]:
        """The samples held back, and how many rows at the head of each data set they took."""
        rows, samples, taken = self._mixed({}), list[TokenSample](), Counter[int]()
        while missing := self._settings.held - len(samples):
            batch = list(itertools.islice(rows, missing))
            if not batch:
                raise UserError(
                    f"`val_size: {self._settings.held}` would hold back more rows than the {len(samples)} usable ones.",
                    hint="Choose a size that leaves rows on both sides.",
                    field="val_size",
                )
            taken.update(which for which, _ in batch)
            samples += self._encode(batch, self.refusals)
        return samples, taken

    def _mixed(self, held: Mapping[int, int]) -> Iterator[StreamRow]:
        """The rows of all data sets, in the same order each time; a data set that starts again leaves out `held`."""
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
                streams[which] = itertools.islice(self._rows(which), held.get(which, 0), None)
                row = next(streams[which], None)
            if row is not None:
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
