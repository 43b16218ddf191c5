"""How a process joins the others of its job."""

import subprocess
import sys
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


def test_a_process_that_fails_leaves_its_group_before_it_ends(tmp_path: Path) -> None:
    program = f"""
import atexit
from pathlib import Path
import torch.distributed as group
from tunesmith.training.engine import join_world
group.init_process_group("gloo", init_method={(tmp_path / "store").as_uri()!r}, rank=0, world_size=1)
atexit.register(lambda: print("left:", not group.is_initialized()))
join_world(use_cpu=True, folder=Path({str(tmp_path)!r}), name="r", config={{}})
raise SystemExit(2)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 2 and done.stdout == "left: True\n", done.stderr
