"""What a run says of itself, as kept in state.json."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import Any, Literal, get_args

from tunesmith.runs.processes import birth, is_alive

# `killed`: a person ended it at once, or a reader says it of a run whose process is gone.
Status = Literal["queued", "running", "stopping", "finished", "failed", "stopped", "killed"]
Ended = Literal["finished", "failed", "stopped", "killed"]
ACTIVE: frozenset[str] = frozenset({"queued", "running", "stopping"})
_STALE_SECONDS = 30 * 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """One snapshot. Times are seconds since the epoch; step counts finished optimizer steps."""

    kind: str = "train"
    """The command that the run is of: train, export, data make …"""
    status: Status = "queued"
    created: float = 0.0
    started: float | None = None
    """When the present attempt began."""
    ended: float | None = None
    heartbeat: float = 0.0
    pid: int | None = None
    born: str | None = None
    """What tells this process from a later one with the same pid."""
    host: str | None = None
    attempt: int = 0
    step: int = 0
    steps: int | None = None
    epoch: float = 0.0
    stage: str = ""
    """What it does now, in words, where its steps don't say it: which file an export writes."""
    error: dict[str, str] | None = None
    """`message` and `hint` of what ended the run, with the `field` and `code` of a UserError that has them."""

    @property
    def active(self) -> bool:
        return self.status in ACTIVE

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


_NUMBERS = ("created", "started", "ended", "heartbeat", "epoch")
_COUNTS = ("pid", "attempt", "step", "steps")


def state_from(record: Mapping[str, Any]) -> RunState:
    """The state in a record read from disk; keys of a newer version, and what no version wrote, are left aside."""
    known = {field.name for field in fields(RunState)}
    return RunState(**{key: value for key, value in record.items() if key in known and _can_be(key, value)})


def _can_be(key: str, value: Any) -> bool:
    if key == "status":
        return value in get_args(Status)
    if key == "error":
        return value is None or (isinstance(value, dict) and all(isinstance(word, str) for word in value.values()))
    if key in _NUMBERS or key in _COUNTS:
        kinds: type | UnionType = int if key in _COUNTS else int | float
        return isinstance(value, kinds) or (value is None and key in ("started", "ended", "pid", "steps"))
    return isinstance(value, str) or (value is None and key in ("born", "host"))


def this_process() -> dict[str, Any]:
    """The fields that name the process asking."""
    return {"pid": os.getpid(), "born": birth(os.getpid()), "host": socket.gethostname()}


def process_lives(state: RunState) -> bool:
    """Whether the process of an active run still works.

    On another host only the heartbeat tells: half an hour of silence counts as gone. A queued run has no process yet.
    """
    if not state.active or state.pid is None:
        return False
    if state.host != socket.gethostname():
        return time.time() - state.heartbeat < _STALE_SECONDS
    return is_alive(state.pid, state.born)
