"""The numbers of a run in columns: read once, then only what is new, and thinned for a screen without losing a peak."""

from __future__ import annotations

import io
import json
import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.runs.read import Identity, identity_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOT_METRICS = frozenset({"step", "time", "attempt"})
_AT_ONCE = 2 << 20
"""Bytes from which a block is read by pyarrow, which is loaded for that: it reads twenty times faster."""
_BLOCK = 8 << 20
_MAY_BE_NO_NUMBER = frozenset({"loss", "grad_norm"})


@dataclass(frozen=True, slots=True)
class Series:
    """One metric. steps never decrease; a value that is no number is NaN. Nothing writes to the arrays any more."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.steps)

    def between(self, first: int | None, last: int | None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        import numpy as np

        low = 0 if first is None else int(np.searchsorted(self.steps, first))
        high = len(self) if last is None else int(np.searchsorted(self.steps, last, side="right"))
        return self.steps[low:high], self.values[low:high]


@dataclass(frozen=True, slots=True)
class Columns:
    """All metrics of one run as its file was at one moment. offset: bytes that were read."""

    series: Mapping[str, Series]
    offset: int
    identity: Identity | None


@dataclass(slots=True)
class _Growing:
    """A metric with room for more. What was shown of it stays as it is: only places behind that are written to."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    used: int = 0

    def extend(self, steps: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        import numpy as np

        end = self.used + len(steps)
        if end > len(self.steps):
            size = max(end, 2 * len(self.steps), 64)
            self.steps = np.concatenate([self.steps[: self.used], np.empty(size - self.used, np.int64)])
            self.values = np.concatenate([self.values[: self.used], np.empty(size - self.used)])
        self.steps[self.used : end], self.values[self.used : end] = steps, values
        self.used = end

    def cut(self, step: int) -> None:
        """Forget the step and all after it: a resumed attempt takes them again."""
        import numpy as np

        self.used = int(np.searchsorted(self.steps[: self.used], step))
        self.steps, self.values = self.steps[: self.used].copy(), self.values[: self.used].copy()

    def shown(self) -> Series:
        return Series(self.steps[: self.used], self.values[: self.used])


class MetricsFile:
    """The metrics of one run, read on when they are asked for; the file may be started afresh or grow meanwhile.

    Several threads may ask at once: each gets columns that no later one changes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._series: dict[str, _Growing] = {}
        self._attempt: Any = None
        self._identity: Identity | None = None
        self._lock = threading.Lock()

    def columns(self) -> Columns:
        with self._lock:
            self._read_on()
            series = {name: growing.shown() for name, growing in self._series.items()}
            return Columns(series, self._offset, self._identity)

    def _read_on(self) -> None:
        try:
            facts, identity = self.path.stat(), identity_of(self.path)
        except OSError:
            return
        if facts.st_size < self._offset or self._identity not in (None, identity):
            self._offset, self._series, self._attempt = 0, {}, None
        self._identity = identity
        large = facts.st_size - self._offset >= _AT_ONCE
        with self.path.open("rb") as file:
            while self._read(file):
                pass
        if large:
            import pyarrow as pa

            pa.default_memory_pool().release_unused()

    def _read(self, file: io.BufferedReader) -> bool:
        """Take in one block of whole lines; whether there may be more."""
        file.seek(self._offset)
        block = file.read(_BLOCK)
        whole = block[: block.rfind(b"\n") + 1]
        if not whole:
            return False
        self._offset += len(whole)
        if len(whole) < _AT_ONCE or not self._take_columns(whole):
            self._take_rows(_records(whole))
        return len(block) == _BLOCK

    def _take_rows(self, rows: Iterable[dict[str, Any]]) -> None:
        """Rows of any kind, one attempt after the other."""
        import numpy as np

        gathered: dict[str, tuple[list[int], list[float]]] = {}

        def settle() -> None:
            for name, (steps, values) in gathered.items():
                self._of(name).extend(np.array(steps, np.int64), np.array(values))
            gathered.clear()

        for row in rows:
            step = row.get("step")
            if not isinstance(step, int):
                continue
            if row.get("attempt") != self._attempt:
                settle()
                self._attempt = row.get("attempt")
                self._cut(step)
            for name, value in row.items():
                if name in NOT_METRICS or isinstance(value, str | bool | list | dict):
                    continue
                steps, values = gathered.setdefault(name, ([], []))
                steps.append(step)
                values.append(math.nan if value is None else float(value))
        settle()

    def _take_columns(self, block: bytes) -> bool:
        """A block of one attempt whose lines are all whole, read at once; False where it is not so."""
        import numpy as np
        import pyarrow as pa
        from pyarrow import json as reader

        try:
            table = reader.read_json(io.BytesIO(block), read_options=reader.ReadOptions(block_size=_AT_ONCE))
            steps = table["step"].to_numpy()
            attempts = table["attempt"].to_numpy()
        except (pa.ArrowException, KeyError):
            return False
        if steps.dtype != np.int64 or (attempts != attempts[0]).any() or (np.diff(steps) < 0).any():
            return False
        if attempts[0].item() != self._attempt:
            self._attempt = attempts[0].item()
            self._cut(int(steps[0]))
        # A metric that a line doesn't have and one that is null look the same in a table; only reports of training
        # have a learning rate.
        rates = table["learning_rate"] if "learning_rate" in table.column_names else None
        trained = np.zeros(len(steps), bool) if rates is None else ~np.isnan(rates.to_numpy().astype(np.float64))
        for name in table.column_names:
            column = table[name]
            if name in NOT_METRICS or not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
                continue
            values = column.to_numpy().astype(np.float64)
            there = ~np.isnan(values)
            if name in _MAY_BE_NO_NUMBER:
                there |= trained
            self._of(name).extend(steps[there], values[there])
        return True

    def _of(self, name: str) -> _Growing:
        import numpy as np

        return self._series.setdefault(name, _Growing(np.empty(0, np.int64), np.empty(0)))

    def _cut(self, step: int) -> None:
        for series in self._series.values():
            series.cut(step)


Thinned = Mapping[str, list[tuple[int, float | None]]]


def thinned(columns: Columns, points: int, *, first: int | None = None, last: int | None = None) -> Thinned:
    """Every metric with about so many points at most: of each stretch the lowest and the highest stay."""
    return {
        name: _pairs(*fewer(*series.between(first, last), points)) for name, series in sorted(columns.series.items())
    }


def fewer(
    steps: NDArray[np.int64], values: NDArray[np.float64], points: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """At most `points` of the points: the first, the last, and the lowest and highest of each of equal stretches."""
    import numpy as np

    if len(steps) <= max(points, 4):
        return steps, values
    stretches = max((points - 2) // 2, 1)
    borders = np.linspace(0, len(steps), stretches + 1).astype(np.int64)
    # A gap (NaN) must neither hide the peaks beside it nor be lost itself.
    low, high = np.nan_to_num(values, nan=np.inf), np.nan_to_num(values, nan=-np.inf)
    width = int(np.diff(borders).max())
    at = np.minimum(borders[:-1, None] + np.arange(width), borders[1:, None] - 1)
    picked = np.concatenate([
        at[np.arange(stretches), low[at].argmin(axis=1)],
        at[np.arange(stretches), high[at].argmax(axis=1)],
        [0, len(steps) - 1],
    ])  # fmt: skip
    gaps = np.flatnonzero(np.isnan(values))
    picked = np.unique(np.concatenate([picked, gaps[:: max(1, len(gaps) // max(points // 8, 1))]]))
    return steps[picked], values[picked]


def _pairs(steps: NDArray[np.int64], values: NDArray[np.float64]) -> list[tuple[int, float | None]]:
    return [
        (step, value if math.isfinite(value) else None)
        for step, value in zip(steps.tolist(), values.tolist(), strict=True)
    ]


def last_rows(path: Path, size: int = 1 << 16) -> list[dict[str, Any]]:
    """The reports at the end of a metrics file, read from its last bytes alone."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, io.SEEK_END)
            file.seek(max(0, end - size))
            block = file.read(size)
    except OSError:
        return []
    if end > size:
        block = block[block.find(b"\n") + 1 :]
    return list(_records(block[: block.rfind(b"\n") + 1]))


def _records(block: bytes) -> Iterable[dict[str, Any]]:
    for line in block.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record
