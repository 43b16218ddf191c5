"""The list of runs as the page shows it, kept up to date at the price of a glance at each run's files."""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Literal

from pydantic import BaseModel

from tunesmith.runs.files import read_json
from tunesmith.runs.read import RunReader, list_runs, seconds_left
from tunesmith.web.language import Told
from tunesmith.web.metrics import last_rows
from tunesmith.web.queue import Place, Queue
from tunesmith.web.workspace import Workspace

Status = Literal["queued", "starting", "running", "stopping", "finished", "failed", "stopped", "killed"]
_AT_WORK = frozenset({"starting", "running", "stopping"})
ACTIVE = _AT_WORK | {"queued"}
_SEARCH_SECONDS = 10.0
_HELD = {
    "message": "Its token has to be entered again: the studio was restarted, and tokens are kept nowhere.",
    "hint": "Enter it, or start the run without it.",
}


class Summary(BaseModel):
    """One run in the list. Times are seconds since the epoch, eta seconds, progress a share of 1.

    model: the base model. of: what it evaluates, exports or compares, where that is not the base model itself.
    stage: what it does now, in words, where its steps don't say it.
    usable: whether it holds a trained model, to chat with, evaluate and export, and nothing is at work on it.
    missing: tokens that it waits for, by the names of their environment variables.
    """

    id: str
    name: str
    kind: str
    status: Status
    progress: float | None = None
    step: int = 0
    steps: int | None = None
    epoch: float = 0.0
    stage: Told = ""
    eta: float | None = None
    last_loss: float | None = None
    tags: list[str] = []
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    queue_position: int | None = None
    missing: list[str] = []
    devices: list[str] = []
    model: str = ""
    of: str = ""
    resumable: bool = False
    usable: bool = False
    message: Told = ""
    hint: Told = ""


class Summaries:
    def __init__(self, workspace: Workspace, queue: Queue) -> None:
        self._workspace, self._queue = workspace, queue
        self._runs: dict[str, tuple[RunReader, tuple[str, ...]]] = {}
        self._known: dict[str, tuple[tuple[Any, ...], Summary]] = {}
        self._searched = -_SEARCH_SECONDS
        self._lock = threading.Lock()

    def forget_search(self) -> None:
        """Look for runs anew at the next call: one was made or deleted."""
        self._searched = -_SEARCH_SECONDS

    def all(self) -> list[Summary]:
        """What is at work, then the queue in its order, then the rest; each the newest first but the queue."""
        with self._lock:
            now = time.monotonic()
            if now - self._searched >= _SEARCH_SECONDS:
                self._searched = now
                self._runs = {self._workspace.relative(run.path): (run, _files(run)) for run in list_runs()}
            found = (self._summary(name, run, files) for name, (run, files) in self._runs.items())
            listed = [summary for summary in found if summary is not None]
            names = {summary.id for summary in listed}
            for name in self._known.keys() - names:
                del self._known[name]
        return sorted(listed, key=_rank)

    def _summary(self, name: str, run: RunReader, files: tuple[str, ...]) -> Summary | None:
        """None where its directory was deleted meanwhile."""
        marks = tuple(map(_mark, files))
        if marks[0] is None:
            return None
        place = self._queue.place(name)
        mark = (*marks, place)
        before = self._known.get(name)
        # A process may die without changing a file, so what is active is read each time.
        if before is not None and before[0] == mark and before[1].status not in ACTIVE:
            return before[1]
        fresh = self._read(name, run, place)
        self._known[name] = (mark, fresh)
        return fresh

    def _read(self, name: str, run: RunReader, place: Place | None) -> Summary:
        state = run.state()
        rows = last_rows(run.layout.metrics)
        losses = [row["loss"] for row in rows if isinstance(row.get("loss"), int | float)]
        status: Status = state.status
        position: int | None = None
        devices: list[str] = []
        if place is not None:
            devices = place.devices
            if place.number is not None:
                status, position = "queued", place.number
            elif (not state.active or state.pid is None) and (state.ended or 0.0) < place.began:
                status = "starting"  # what its state says is of the time before
        if status == "queued" and position is None and state.pid is not None:
            status = "starting"  # its process is there, and gets ready
        active = status in ACTIVE
        model, of = _subject_of(run, state.kind)
        missing = list(place.missing) if place is not None else []
        error = _HELD if missing else {} if active else state.error or {}
        # A process that died did not write its last steps into its state.
        reported = [row["step"] for row in rows if row.get("attempt") == state.attempt and "loss" in row]
        step = max([state.step, *(one for one in reported if isinstance(one, int))])
        progress = min(1.0, step / state.steps) if state.steps else None
        return Summary(
            id=name,
            name=run.path.name,
            kind=state.kind,
            status=status,
            progress=1.0 if status == "finished" else progress,
            step=step,
            steps=state.steps,
            epoch=state.epoch,
            stage=state.stage if active else "",
            eta=seconds_left(state, rows) if status == "running" else None,
            last_loss=losses[-1] if losses else None,
            tags=tags_of(run),
            created=state.created,
            started=state.started,
            ended=state.ended,
            queue_position=position,
            missing=missing,
            devices=devices,
            model=model,
            of=of,
            resumable=not active
            and status != "finished"
            and (state.kind != "train" or not state.attempt or bool(run.checkpoints())),
            usable=not active and state.kind == "train" and run.layout.holds_weights(),
            message=error.get("message", ""),
            hint=error.get("hint", ""),
        )


def _rank(summary: Summary) -> tuple[int, float]:
    if summary.status in _AT_WORK:
        return 0, -summary.created
    return (2, -summary.created) if summary.queue_position is None else (1, summary.queue_position)


def tags_of(run: RunReader) -> list[str]:
    tags = (read_json(run.layout.tags) or {}).get("tags")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _files(run: RunReader) -> tuple[str, ...]:
    """What changes when anything of a run does that the list shows, its state first. Twice a second each is looked at,
    so they are texts: of paths it takes twice the time."""
    layout = run.layout
    return tuple(map(str, (layout.state, layout.metrics, layout.tags, layout.stop)))


def _mark(path: str) -> tuple[int, int] | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size


def _subject_of(run: RunReader, kind: str) -> tuple[str, str]:
    """The base model, and what the run is about beside it, out of the configuration without parsing all of it."""
    found: dict[str, str] = {}
    try:
        with run.layout.resolved.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key in ("model_name_or_path", "adapter_name_or_path", "place"):
                    found[key] = value.strip().strip("[]").strip("'\"")
    except OSError:
        pass
    of = found.get("place") or (found.get("adapter_name_or_path") if kind in ("eval", "export") else "")
    return found.get("model_name_or_path", ""), of or ""
