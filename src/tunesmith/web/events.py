"""What is new since a cursor. A cursor is a place in the files, so it means the same after the server was restarted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio

from tunesmith.errors import UserError
from tunesmith.runs.files import JsonlTail
from tunesmith.runs.layout import RunLayout
from tunesmith.runs.read import RunReader
from tunesmith.web.studio import Studio
from tunesmith.web.summaries import Summary

_SECONDS = 0.5
_HEARTBEAT_SECONDS = 15.0
_MOST_ROWS, _MOST_BYTES = 400, 200_000
"""Beyond these a page that fell behind is told to fetch anew instead."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """digest: of the list of runs. metrics, log: bytes read of the watched run's files; attempt: whose log."""

    digest: str = ""
    metrics: int = 0
    attempt: int = 0
    log: int = 0

    def __str__(self) -> str:
        return f"{self.digest or '-'}.{self.metrics}.{self.attempt}.{self.log}"

    @classmethod
    def read(cls, text: str) -> Cursor:
        """UserError for what is no cursor."""
        parts = text.split(".")
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) < 18 for part in parts[1:]):
            raise UserError(f"{text[:80]!r} is no cursor of this stream.", hint="Leave it out to begin anew.")
        return cls("" if parts[0] == "-" else parts[0], *map(int, parts[1:]))


Event = tuple[str, dict[str, Any]]
"""(type, data): `runs` for the list, `run` for the watched run."""


class Stream:
    """One page that listens. run: the run whose metrics and log it follows."""

    def __init__(self, studio: Studio, run: RunReader | None) -> None:
        self._studio, self._run = studio, run
        self._sent: dict[str, Summary] | None = None

    def news(self, cursor: Cursor) -> tuple[list[Event], Cursor]:
        """The events since the cursor, and the cursor after them."""
        events: list[Event] = []
        listed = self._studio.listed
        if listed.digest != cursor.digest:
            now = {summary.id: summary for summary in listed.runs}
            events.append(("runs", _list_event(self._sent, now)))
            cursor = replace(cursor, digest=listed.digest)
            self._sent = now
        elif self._sent is None:
            self._sent = {summary.id: summary for summary in listed.runs}
        if self._run is not None:
            event, cursor = _run_event(self._run, self._studio.workspace.relative(self._run.path), cursor)
            events += [("run", event)] if event else []
        return events, cursor

    async def lines(self, cursor: Cursor) -> AsyncIterator[str]:
        """Server-sent events without end, each with its cursor as id."""
        yield "retry: 1000\n\n"
        quiet = 0.0
        while True:
            events, cursor = await anyio.to_thread.run_sync(self.news, cursor)
            for kind, data in events:
                yield f"id: {cursor}\nevent: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
            quiet = 0.0 if events else quiet + _SECONDS
            if quiet >= _HEARTBEAT_SECONDS:
                quiet = 0.0
                yield ": still here\n\n"
            await anyio.sleep(_SECONDS)


def _list_event(before: dict[str, Summary] | None, now: dict[str, Summary]) -> dict[str, Any]:
    """What changed of the list, or all of it where nobody knows what the page has or its order changed."""
    if before is None or list(before) != list(now):
        return {"complete": True, "runs": [summary.model_dump() for summary in now.values()]}
    changed = [summary for name, summary in now.items() if before[name] != summary]
    return {"complete": False, "runs": [summary.model_dump() for summary in changed]}


def _run_event(run: RunReader, name: str, cursor: Cursor) -> tuple[dict[str, Any], Cursor]:
    event: dict[str, Any] = {}
    size = _size(run.layout.metrics)
    if size < cursor.metrics or size - cursor.metrics > _MOST_BYTES:
        event["reload_metrics"] = True
        cursor = replace(cursor, metrics=size)
    elif size > cursor.metrics:
        tail = JsonlTail(run.layout.metrics, cursor.metrics)
        rows = tail.read_new()
        cursor = replace(cursor, metrics=tail.offset)
        if len(rows) > _MOST_ROWS:
            event["reload_metrics"] = True
        elif rows:
            event["metrics"] = rows
    attempt, log = log_of(run.layout)
    if attempt != cursor.attempt:
        if cursor.attempt and attempt:  # the attempt before may have taken the same steps
            event["reload_metrics"] = True
        cursor = replace(cursor, attempt=attempt, log=0)
        event["reload_log"] = True
    size = _size(log)
    if size < cursor.log or size - cursor.log > _MOST_BYTES:
        event["reload_log"] = True
        cursor = replace(cursor, log=size)
    elif size > cursor.log:
        lines, end = _new_lines(log, cursor.log)
        cursor = replace(cursor, log=end)
        event |= {"log": lines} if lines else {}
    return ({"id": name, **event} if event else {}), cursor


def log_of(layout: RunLayout) -> tuple[int, Path]:
    """The log that tells most of the run now, and the attempt it is of (0: what the process printed at its start)."""
    attempt = layout.last_attempt()
    log = layout.attempt_log(attempt)
    if attempt and _size(log):
        return attempt, log
    return 0, layout.launch_log


def _new_lines(path: Path, start: int) -> tuple[list[str], int]:
    """Whole lines after a place in a file, and the place after them."""
    with path.open("rb") as file:
        file.seek(start)
        block = file.read(_MOST_BYTES)
    whole = block[: block.rfind(b"\n") + 1]
    return whole.decode("utf-8", "replace").splitlines(), start + len(whole)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
