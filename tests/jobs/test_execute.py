"""What is checked before a job begins, and what a job leaves as it found it."""

import warnings
from pathlib import Path

import pytest

from tunesmith.config.load import load_job
from tunesmith.errors import UserError
from tunesmith.jobs import execute
from tunesmith.jobs.process import settled_libraries
from tunesmith.runs.layout import complete_marker
from tunesmith.runs.run import Run


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, object]:
    data = tmp_path / "rows.json"
    data.write_text('[{"instruction": "a", "output": "b"}]', encoding="utf-8")
    return {"model_name_or_path": "m", "stage": "sft", "dataset": str(data), "output_dir": str(tmp_path / "run")}


def test_a_tracker_that_is_missing_is_told_before_anything_is_written(
    keys: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="report_to: swanlab is not installed"):
        execute.train(load_job([], {**keys, "report_to": "swanlab"}, verb="train"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("named", [True, False])
def test_a_checkpoint_beyond_max_steps_leaves_nothing_to_train(
    keys: dict[str, object], tmp_path: Path, named: bool
) -> None:
    run = Run.create(tmp_path / "run", {}, {})
    checkpoint = run.layout.checkpoint(18)
    checkpoint.mkdir()
    complete_marker(checkpoint).touch()
    asked = str(checkpoint) if named else True
    job = load_job([], {**keys, "max_steps": 5, "resume_from_checkpoint": asked}, verb="train").job
    with pytest.raises(UserError, match="max_steps: 5 leaves nothing to train"):
        execute.asked_checkpoint(job)


def test_the_callers_warnings_and_progress_bars_stay() -> None:
    from transformers.utils import logging

    before, shown = list(warnings.filters), logging.is_progress_bar_enabled()
    with settled_libraries():
        assert not logging.is_progress_bar_enabled()
    assert list(warnings.filters) == before and logging.is_progress_bar_enabled() == shown
