"""How a process joins the others of its job."""

from pathlib import Path
from typing import Any

import pytest

from tunesmith.training import engine


def test_processes_wait_for_each_other_as_long_as_they_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, Any]] = []

    class Recorded(engine.Accelerator):
        def __init__(self, **given: Any) -> None:
            made.append(given)
            super().__init__(**given)

    monkeypatch.setattr(engine, "Accelerator", Recorded)
    engine.join_world(use_cpu=True, timeout_seconds=7200, folder=tmp_path, name="r", config={})
    (handler,) = made[0]["kwargs_handlers"]
    assert handler.timeout.total_seconds() == 7200
