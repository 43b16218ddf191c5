"""What an evaluation has written, read back: its scores, and its answers in pages, whatever the size of the file."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from tunesmith.runs.files import replace_text
from tunesmith.runs.read import Identity, identity_of

Sort = Literal["order", "worst", "best"]
Scores = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer stands in the file, from byte `offset` on. scores, base: of the answer and of the base model's,
    by name; empty where there is none."""

    offset: int
    scores: Scores
    base: Scores

    @property
    def mean(self) -> float:
        return fmean(self.scores.values()) if self.scores else 0.0


class Predictions:
    """The answers of a file that may grow: `refresh` reads what is new, and keeps places and scores alone.

    A question that was asked again, because the data had changed, counts by its last answer. Several threads may share
    one: what was read is put in place whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._places: dict[int, Place] = {}
        self._identity: Identity | None = None
        self._lock = threading.Lock()

    def refresh(self) -> Predictions:
        with self._lock:
            size, identity = 0, None
            with suppress(OSError):  # there is none
                size, identity = self.path.stat().st_size, identity_of(self.path)
            same = size >= self._read and identity == self._identity
            known, places = (self._read, dict(self._places)) if same else (0, {})
            for offset, end, record in _lines(self.path, known):
                places[record["index"]] = Place(offset, _scores(record, "scores"), _scores(record, "base_scores"))
                known = end
            self._read, self._places, self._identity = known, places, identity
        return self

    def keep(self, indices: Collection[int]) -> None:
        """Leave in the file the answers to these questions alone."""
        places = [self._places[index] for index in sorted(set(indices) & self._places.keys())]
        lines = []
        if places:
            with self.path.open("rb") as file:
                for place in places:
                    file.seek(place.offset)
                    lines.append(file.readline().decode("utf-8"))
        replace_text(self.path, "".join(lines))
        self.refresh()

    def __len__(self) -> int:
        return len(self._places)

    @property
    def answered(self) -> int:
        """How many questions have an answer; what could not be asked has none."""
        return sum(bool(place.scores) for place in self._places.values())

    def means(self) -> dict[str, float]:
        """Score → its mean over all that was answered."""
        return _means([place.scores for place in self._places.values() if place.scores])

    def base_means(self) -> dict[str, float]:
        """The same of the base model's answers; empty where it was not asked."""
        return _means([place.base for place in self._places.values() if place.base])

    def record(self, index: int) -> dict[str, Any] | None:
        """The line of a question; None where it was not asked yet."""
        place = self._places.get(index)
        return None if place is None else next(iter(self._loaded([place])), None)

    def page(
        self, offset: int, limit: int, *, search: str = "", sort: Sort = "order"
    ) -> tuple[list[dict[str, Any]], int]:
        """(the lines of one page, how many there are in all). search: what occurs in a text of it, whatever its case.

        worst, best: by the mean of an answer's scores.
        """
        places = self._places
        order = sorted(places)
        if sort != "order":
            order.sort(key=lambda index: places[index].mean, reverse=sort == "best")
        if search:
            found = set(self._holding(search.casefold()))
            order = [index for index in order if places[index].offset in found]
        return self._loaded([places[index] for index in order[offset : offset + limit]]), len(order)

    def _holding(self, wanted: str) -> Iterator[int]:
        """Offsets of the lines that have the words in a text."""
        for offset, _, record in _lines(self.path, 0):
            texts = (str(record.get(key) or "") for key in ("prompt", "predict", "label", "base"))
            if any(wanted in text.casefold() for text in texts):
                yield offset

    def _loaded(self, places: Sequence[Place]) -> list[dict[str, Any]]:
        if not places:
            return []
        with self.path.open("rb") as file:
            found = []
            for place in places:
                file.seek(place.offset)
                if (record := _record(file.readline())) is not None:
                    found.append(record)
            return found


def _scores(record: Mapping[str, Any], key: str) -> Scores:
    found = record.get(key)
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def _means(scores: Sequence[Scores]) -> dict[str, float]:
    return {name: fmean(each[name] for each in scores if name in each) for name in (scores[0] if scores else ())}


def _lines(path: Path, start: int) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(first byte, byte after the last, answer) of every whole line from byte `start` on."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(start)
        at = start
        for line in file:
            end = at + len(line)
            record = _record(line) if line.endswith(b"\n") else None
            if record is not None:
                yield at, end, record
            at = end


def _record(line: bytes) -> dict[str, Any] | None:
    """The answer in a line; None where a killed process left half of one."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("index"), int) else None
