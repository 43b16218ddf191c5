"""What a person reads while a run trains."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tunesmith.runs.run import Run
from tunesmith.training import report


def test_a_reader_that_leaves_does_not_end_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    run = Run.create(tmp_path / "run", {}, {})
    run.begin_attempt()
    stream = os.fdopen(writing, "w", encoding="utf-8", buffering=1)
    monkeypatch.setattr(sys, "stderr", stream)
    speaker = report.Speaker(run)
    speaker.say("step 1")
    speaker.say("step 2")
    with suppress(BrokenPipeError):  # for what it still holds
        stream.close()
    assert run.layout.attempt_log(1).read_text(encoding="utf-8").splitlines() == ["step 1", "step 2"]
