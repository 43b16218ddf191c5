"""What is new since a cursor. A cursor is a place in the files, so it means the same after the server was restarted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio

from tunesmith.errors import UserError
from tunesmith.runs.files import JsonlTail, read_json
from tunesmith.runs.layout import RunLayout
from tunesmith.runs.read import RunReader
from tunesmith.web.studio import Studio
from tunesmith.web.summaries import Summary

_SECONDS = 0.5
_HEARTBEAT_SECONDS = 15.0
_MOST_ROWS, _MOST_BYTES = 400, 200_000
"""Beyond these a page that fell behind is told to fetch anew instead."""
_CURSOR = re.compile(r"([^.]*)\.([0-9]{1,17})(?:-([0-9a-f]{1,32}))?\.([0-9]{1,17})\.([0-9]{1,17})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """digest: of the list of runs. metrics, log: bytes read of the watched run's files; made: which run's these were,
    as another may have taken its folder since; attempt: whose log."""

    digest: str = ""
    metrics: int = 0
    made: str = ""
    attempt: int = 0
    log: int = 0

    def __str__(self) -> str:
        return f"{self.digest or '-'}.{place_in(self.metrics, self.made)}.{self.attempt}.{self.log}"

    @classmethod
    def read(cls, text: str) -> Cursor:
        """UserError for what is no cursor."""
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise UserError(f"{text[:80]!r} is no cursor of this stream.", hint="Leave it out to begin anew.")
        digest, metrics, made, attempt, log = found.groups("")
        return cls("" if digest == "-" else digest, int(metrics), made, int(attempt), int(log))


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
        """Server-sent events for as long as there is a server, each with its cursor as id."""
        yield "retry: 1000\n\n"
        quiet = 0.0
        while not self._studio.leaving:
            events: list[Event] = []
            with suppress(OSError):  # a file is deleted or replaced at this moment: it is told of next time
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
    made = made_mark((read_json(run.layout.state) or {}).get("created")) or cursor.made
    replaced = bool(cursor.made) and made != cursor.made
    cursor = replace(cursor, made=made)
    size = _size(run.layout.metrics)
    if replaced or size < cursor.metrics or size - cursor.metrics > _MOST_BYTES:
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
    if replaced or attempt != cursor.attempt:
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


def made_mark(created: float | None) -> str:
    """What tells a run from another that had its folder before: of when it was made. Empty where that is not known."""
    return "" if created is None else hashlib.blake2b(repr(created).encode(), digest_size=6).hexdigest()


def place_in(metrics: int, made: str) -> str:
    """A place in a run's metrics as cursors have it."""
    return f"{metrics}-{made}" if made else str(metrics)


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
