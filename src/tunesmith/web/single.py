"""One studio of a workspace at a time: two would start what waits in its queue twice."""

from __future__ import annotations

import time
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from tunesmith.runs.files import read_json, told_plainly
from tunesmith.runs.processes import is_alive
from tunesmith.web.workspace import Workspace

_PATIENCE_SECONDS = 10.0


def hold(workspace: Workspace) -> BaseFileLock | None:
    """The workspace for this process alone, for as long as it lives and keeps the lock; None where another has it."""
    path = workspace.own("server.lock")
    lock = FileLock(path)
    with told_plainly(path, field=None):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        except NotImplementedError:  # a file system that knows no locks: what the other wrote of itself has to do
            return None if _other(workspace) else lock
    return lock


def address_of_other(workspace: Workspace) -> str:
    """Where the studio is that has the workspace; it may be about to say so. Empty where it doesn't."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (other := _other(workspace)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return str(other.get("url", ""))


def _other(workspace: Workspace) -> dict[str, Any]:
    """What a studio that lives wrote of itself."""
    record = read_json(workspace.own("server.json")) or {}
    pid = record.get("pid")
    return record if isinstance(pid, int) and is_alive(pid, record.get("born")) else {}
