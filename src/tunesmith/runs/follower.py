"""The run as the other processes of a job see it: the first process records for all."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.runs.layout import RunLayout
from tunesmith.runs.run import Run
from tunesmith.runs.state import RunState


class Follower(Run):
    """A Run that writes nothing; a stop that was asked for it sees too."""

    def __init__(self, path: Path) -> None:
        super().__init__(RunLayout(path), RunState(created=time.time()))

    def begin_attempt(self, *, from_step: int = 0) -> int:
        self.state = replace(self.state, status="running", step=from_step)
        return self.state.attempt

    def claim(self) -> None:
        pass

    def update(self, **fields: Any) -> None:
        self.state = replace(self.state, **fields)

    def metric(self, step: int, **values: Any) -> None:
        pass

    def event(self, kind: str, **facts: Any) -> None:
        pass

    def sample(self, **sample: Any) -> None:
        pass

    def refused(self, **row: Any) -> None:
        pass

    def run_log(self, text: str) -> None:
        pass

    def add_environment(self, **facts: Any) -> None:
        pass

    def finish(self, status: str, error: BaseException | None = None) -> None:
        pass

    def _write_state(self, *, durable: bool = True) -> None:
        pass
