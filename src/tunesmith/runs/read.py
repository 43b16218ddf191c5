"""Reading runs: by the command line, the web page, and anyone else who is not the run itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.errors import UserError, did_you_mean
from tunesmith.runs.files import JsonlTail, read_json
from tunesmith.runs.layout import Checkpoint, RunLayout, is_run
from tunesmith.runs.state import RunState, process_lives, state_from

_SAVES = Path("saves")
_DEPTH, _DEPTH_HERE = 6, 3
_PACE = {"loss", "calls", "answered"}
"""What a report of steps that were taken one by one holds: of a training, of questions, of an evaluation."""
Point = Mapping[str, Any]
Identity = tuple[int, float | None]


class RunReader:
    """A view of one run; the jsonl tails give only what is new since they were last asked."""

    def __init__(self, path: Path) -> None:
        self.layout = RunLayout(path)
        if not is_run(path):
            raise UserError(
                f"{path} is not a run directory.", hint="`tunesmith runs list` shows the runs; give one's folder."
            )
        self.metrics_tail = JsonlTail(self.layout.metrics)
        self.events_tail = JsonlTail(self.layout.events)
        self.samples_tail = JsonlTail(self.layout.samples)

    @property
    def path(self) -> Path:
        return self.layout.root

    def state(self) -> RunState:
        """The state now. A process that is gone reads as killed; one that was asked to stop, as stopping."""
        state = state_from(read_json(self.layout.state) or {})
        if not state.active or state.pid is None:
            return state
        if not process_lives(state):
            told = {
                "message": f"Process {state.pid} on {state.host} is gone without a word.",
                "hint": self._way_on(state),
            }
            return replace(state, status="killed", error=told)
        if state.status == "running" and self.layout.stop.exists():
            return replace(state, status="stopping")
        return state

    def metrics(self) -> list[dict[str, Any]]:
        """All reports up to now, without the steps that a resumed attempt took again."""
        return without_retaken(JsonlTail(self.layout.metrics).read_new())

    def events(self) -> list[dict[str, Any]]:
        return JsonlTail(self.layout.events).read_new()

    def checkpoints(self) -> list[Checkpoint]:
        return self.layout.checkpoints()

    def environment(self) -> dict[str, Any]:
        return read_json(self.layout.environment) or {}

    def _way_on(self, state: RunState) -> str:
        if self.layout.journal.is_file():
            return f"Its answers are kept. Continue it: tunesmith runs resume {self.path}"
        if self.checkpoints() or state.kind == "eval":
            return f"Continue it: tunesmith runs resume {self.path}"
        return "It had no checkpoint yet: train it again, with save_steps lower if that was late."


def identity_of(file: Path) -> Identity:
    """What tells a file in a run's folder from another that was there before: its inode, which a file system gives
    again, and when the run was made. OSError where there is none."""
    record = read_json(RunLayout(file.parent).state) or {}
    return file.stat().st_ino, record.get("created")


def list_runs(root: Path | None = None) -> list[RunReader]:
    """Every run under `root`, newest first; folders inside a run are not searched.

    Without a root: those under `saves`, and those not far below the present folder, where the demo has its own.
    """
    places = [(root, _DEPTH)] if root else [(_SAVES, _DEPTH), (Path(), _DEPTH_HERE)]
    found = dict.fromkeys(path for place, depth in places for path in _folders_of_runs(place, depth))
    return sorted(map(RunReader, found), key=lambda run: run.state().created, reverse=True)


def _folders_of_runs(root: Path, depth: int) -> Iterator[Path]:
    for folder, subfolders, _ in os.walk(root):
        path = Path(folder)
        if is_run(path) and RunLayout(path).resolved.is_file():  # others may have a state.json too
            yield path
            subfolders.clear()
        elif len(path.relative_to(root).parts) >= depth:
            subfolders.clear()
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]


def runs_named(name: str, root: Path | None = None) -> list[RunReader]:
    """The runs of `list_runs` whose folder's path ends so."""
    wanted = Path(name).parts
    return [run for run in list_runs(root) if run.path.parts[-len(wanted) :] == wanted] if wanted else []


def find_run(name: str, root: Path | None = None) -> RunReader:
    """The run that a user means: its folder, the end of its folder's path, or `last` for the newest of `list_runs`."""
    path = Path(name)
    if is_run(path):
        return RunReader(path)
    if is_run(path.parent) and path.name.startswith("checkpoint-"):
        return RunReader(path.parent)
    runs = list_runs(root)
    if name == "last" and runs:
        return runs[0]
    named = runs_named(name, root)
    if len(named) == 1:
        return named[0]
    if named:
        choices = ", ".join(str(run.path) for run in named)
        raise UserError(f"{name!r} means several runs: {choices}.", hint="Give more of the path.")
    guess = did_you_mean(name, [str(run.path) for run in runs] + [run.path.name for run in runs])
    looked = (
        f"There is no run {name!r}: it is no run directory, and none under {(root or Path()).resolve()} is called so."
    )
    raise UserError(looked, hint=guess or "`tunesmith runs list` shows the runs; --root names another folder.")


def without_retaken(points: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Reports in step order: what an attempt said of steps that a later, resumed attempt took again is dropped."""
    kept: list[dict[str, Any]] = []
    attempt = None
    for point in points:
        if point.get("attempt") != attempt:
            attempt = point.get("attempt")
            kept = [earlier for earlier in kept if earlier.get("step", 0) < point.get("step", 0)]
        kept.append(point)
    return kept


@dataclass(frozen=True, slots=True)
class CurvePoint:
    step: int
    value: float
    smoothed: float


def curve(points: Iterable[Point], key: str = "loss", *, smoothing: float = 0.6) -> list[CurvePoint]:
    """The values of one metric with their exponential moving average.

    smoothing: weight of the past, 0 (none) to below 1. The average is corrected for its start at zero, so the first
    point is smoothed to itself.
    """
    average, weight = 0.0, 0.0
    drawn = []
    for point in points:
        value = point.get(key)
        if not isinstance(value, int | float):
            continue
        average = smoothing * average + (1 - smoothing) * value
        weight = smoothing * weight + (1 - smoothing)
        drawn.append(CurvePoint(int(point["step"]), float(value), average / weight))
    return drawn


@dataclass(frozen=True, slots=True)
class Difference:
    """A key on which runs differ; `None` stands where a run doesn't have it."""

    key: str
    values: tuple[Any, ...]


def compare(*configs: Mapping[str, Any]) -> list[Difference]:
    """The keys that are not the same in all configurations, in the order of the first that has them."""
    keys = dict.fromkeys(key for config in configs for key in config)
    rows = [Difference(key, tuple(config.get(key) for config in configs)) for key in keys]
    return [row for row in rows if any(value != row.values[0] for value in row.values)]


def seconds_left(state: RunState, points: Sequence[Point]) -> float | None:
    """Time to the end at the pace of the last reports of this attempt: between two attempts lies any time.

    What tells stages reports nothing else: there the pace is that since its begin. None when it can't be told.
    """
    if not state.steps or state.status not in ("running", "stopping"):
        return None
    if state.stage:
        since = state.heartbeat - state.started if state.started else 0.0
        return max(0.0, since / state.step * (state.steps - state.step)) if state.step else None
    own = (point for point in points if point.get("attempt", state.attempt) == state.attempt)
    recent = [point for point in own if _PACE & point.keys()][-20:]
    taken = recent[-1]["step"] - recent[0]["step"] if recent else 0
    if taken <= 0:
        return None
    pace = (recent[-1]["time"] - recent[0]["time"]) / taken
    return max(0.0, pace * (state.steps - max(state.step, recent[-1]["step"])))
