"""A command over a run directory tells how far it is, and what it says stays in the log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.jobs import recorded
from tunesmith.jobs.stages import Stages, heard
from tunesmith.runs.read import RunReader
from tunesmith.runs.run import Run

COMMAND = """
from tunesmith.jobs.stages import Stages
stages = Stages("reading the model")
stages.expect(3)
print("for people")
stages.begin("writing x.gguf")
stages.begin("asking x.gguf")
"""


def test_stages_of_a_command_are_the_progress_of_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read, written, asked: each in words, with the share of the whole that is done."""
    run = Run.create(tmp_path / "run", {}, {}, kind="export")
    told: list[tuple[int, str]] = []
    update, start = Run.update, subprocess.Popen
    monkeypatch.setattr(Run, "update", _noted(update, told))
    monkeypatch.setattr(
        subprocess, "Popen", lambda command, **options: start([sys.executable, "-c", COMMAND], **options)
    )
    assert recorded.run_recorded(run.path, ["export"]) == 0
    assert told == [(0, "reading the model"), (25, "writing x.gguf"), (50, "asking x.gguf"), (100, "")]
    state = RunReader(run.path).state()
    assert (state.status, state.step, state.stage) == ("finished", 100, "")
    assert run.layout.attempt_log(1).read_text(encoding="utf-8") == "for people\n"


def _noted(update: Callable[..., None], told: list[tuple[int, str]]) -> Callable[..., None]:
    def noted(run: Run, **fields: Any) -> None:
        update(run, **fields)
        if "stage" in fields:
            told.append((run.state.step, run.state.stage))

    return noted


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("\x1e0.500 writing", ("", 0.5, "writing")),
        ("loading: 40%\x1e0.000 reading", ("loading: 40%", 0.0, "reading")),
        ("\x1enot ours", None),
        ("for people", None),
    ],
)
def test_a_stage_is_heard_wherever_it_stands(line: str, told: tuple[str, float, str] | None) -> None:
    assert heard(line) == told


def test_the_share_within_a_stage_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TUNESMITH_STAGES", "1")
    stages = Stages("reading", clock=iter(range(20)).__next__)
    stages.expect(3)
    stages.begin("writing")
    stages.report(1, 2)
    assert capsys.readouterr().out.splitlines()[-1].endswith("0.375 writing")


def test_nobody_who_does_not_listen_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    Stages("reading").begin("writing")
    assert capsys.readouterr().out == ""
