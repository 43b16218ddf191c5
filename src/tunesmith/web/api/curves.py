"""The numbers of a run, thinned for a screen, in plain words and as CSV; its log; its samples."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from tunesmith.web.access import TheStudio, router_of, writable
from tunesmith.web.diagnosis import Word, diagnose
from tunesmith.web.events import log_of, made_mark, place_in
from tunesmith.web.metrics import Columns, thinned

router = router_of("curves")
_MOST_LOG_BYTES = 4 << 20
_CSV_ROWS = 5000
_BLOCK = 1 << 16
_MOST_NAME = 100


class Curves(BaseModel):
    """series: metric → [step, value or null where it was no number]. total: points before thinning.

    offset: where the page's event stream goes on from, as a cursor has it.
    """

    series: dict[str, list[tuple[int, float | None]]]
    total: dict[str, int]
    words: list[Word]
    offset: str


class Log(BaseModel):
    """attempt: whose log, 0 for what was printed at the start. offset: bytes, for the event stream."""

    lines: list[str]
    attempt: int
    offset: int
    complete: bool


class Samples(BaseModel):
    samples: list[dict[str, Any]]


@router.get("/runs/{run:path}/metrics")
def run_metrics(
    run: str,
    studio: TheStudio,
    points: Annotated[int, Query(ge=10, le=20_000)] = 2000,
    first: Annotated[int | None, Query(alias="from")] = None,
    last: Annotated[int | None, Query(alias="to")] = None,
) -> Curves:
    """Every metric between two steps, with at most so many points; of each stretch the lowest and highest stay."""
    reader = studio.workspace.run(run)
    columns = studio.shelf.columns(reader.layout.metrics)
    return Curves(
        series=thinned(columns, points, first=first, last=last),  # type: ignore[arg-type]
        total={name: len(series) for name, series in columns.series.items()},
        words=diagnose(columns, [checkpoint.step for checkpoint in reader.checkpoints()]),
        offset=place_in(columns.offset, made_mark(columns.identity[1]) if columns.identity else ""),
    )


@router.get("/runs/{run:path}/metrics.csv", response_class=StreamingResponse)
def run_metrics_csv(run: str, studio: TheStudio) -> StreamingResponse:
    """Every point of every metric."""
    reader = studio.workspace.run(run)
    return _as_csv(reader.path.name, _csv(studio.shelf.columns(reader.layout.metrics)))


@router.get("/compare.csv", response_class=StreamingResponse)
def compared_csv(
    studio: TheStudio, runs: Annotated[list[str], Query(min_length=1, max_length=12)]
) -> StreamingResponse:
    """Every point of every metric of several runs, the run's id in the first column."""
    readers = [studio.workspace.run(name) for name in runs]
    columns = [studio.shelf.columns(reader.layout.metrics) for reader in readers]
    ids = [studio.workspace.relative(reader.path) for reader in readers]
    name = "-".join(reader.path.name for reader in readers)
    return _as_csv(name[:_MOST_NAME], _csv_of_runs(ids, columns))


def _as_csv(name: str, text: Iterator[str]) -> StreamingResponse:
    named = {"content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}.csv"}
    return StreamingResponse(text, media_type="text/csv; charset=utf-8", headers=named)


@router.get("/runs/{run:path}/log")
def run_log(run: str, studio: TheStudio, query: str = "", tail: Annotated[int, Query(ge=1, le=20_000)] = 1000) -> Log:
    """The last lines of the log, or those with all words of the query in them."""
    attempt, path = log_of(studio.workspace.run(run).layout)
    words = query.casefold().split()
    kept: deque[str] = deque(maxlen=tail)
    count = 0
    offset, lines = _lines(path, from_end=not words)
    for line in lines:
        if all(word in line.casefold() for word in words):
            kept.append(line)
            count += 1
    return Log(lines=list(kept), attempt=attempt, offset=offset, complete=count <= tail)


@router.get("/runs/{run:path}/samples")
def run_samples(run: str, studio: TheStudio, most: Annotated[int, Query(ge=1, le=1000)] = 100) -> Samples:
    """The first rendered examples with their masks, and what was generated at evaluations."""
    return Samples(samples=writable(studio.workspace.run(run).samples_tail.read_new()[-most:]))


def _lines(path: Path, *, from_end: bool) -> tuple[int, Iterator[str]]:
    """(bytes of the log's whole lines, and these); of a long one only the end, unless all of it is searched."""
    size = _whole(path)
    if not size:
        return 0, iter(())

    def read() -> Iterator[str]:
        with path.open("rb") as file:
            if from_end and size > _MOST_LOG_BYTES:
                file.seek(size - _MOST_LOG_BYTES)
                file.readline()
            while file.tell() < size and (line := file.readline()):
                yield line.decode("utf-8", "replace").rstrip("\r\n")

    return size, read()


def _whole(path: Path) -> int:
    """Bytes up to the last end of a line: half a line is told when it is whole."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, io.SEEK_END)
            while end:
                start = max(0, end - _BLOCK)
                file.seek(start)
                if (found := file.read(end - start).rfind(b"\n")) >= 0:
                    return start + found + 1
                end = start
    except OSError:
        pass
    return 0


def _csv(columns: Columns) -> Iterator[str]:
    names = sorted(columns.series)
    yield _line("step", *names)
    yield from _rows(columns, names, ())


def _csv_of_runs(runs: Sequence[str], columns: Sequence[Columns]) -> Iterator[str]:
    names = sorted({name for each in columns for name in each.series})
    yield _line("run", "step", *names)
    for run, each in zip(runs, columns, strict=True):
        yield from _rows(each, names, (run,))


def _line(*cells: str) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _rows(columns: Columns, names: Sequence[str], before: tuple[str, ...]) -> Iterator[str]:
    """The points as lines, many at a time. before: cells that stand before the step."""
    rows: dict[int, dict[str, float]] = {}
    for name in columns.series.keys() & set(names):
        steps, values = columns.series[name].between(None, None)
        for step, value in zip(steps.tolist(), values.tolist(), strict=True):
            rows.setdefault(step, {})[name] = value
    text = io.StringIO()
    writer = csv.writer(text)
    for number, step in enumerate(sorted(rows), 1):
        row = rows[step]
        writer.writerow([*before, step, *(row.get(name, "") for name in names)])
        if number % _CSV_ROWS == 0:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()
