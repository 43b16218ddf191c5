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
from tunesmith.training.start import asked_checkpoint, obstacles


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
        asked_checkpoint(job)


def complete(run: Run, step: int) -> Path:
    checkpoint = run.layout.checkpoint(step)
    checkpoint.mkdir()
    complete_marker(checkpoint).touch()
    return checkpoint


def test_what_a_dry_run_lets_pass_the_plan_and_the_run_take_too(keys: dict[str, object], tmp_path: Path) -> None:
    """The same is in the way of all three: a used folder with the checkpoint of another run, a file, a lost model."""
    model = tmp_path / "base"
    model.mkdir()
    one, two = Run.create(tmp_path / "one", {}, {}), Run.create(tmp_path / "two", {}, {})
    first = complete(one, 1)
    complete(two, 1)
    one.finish("stopped")
    two.finish("stopped")
    (tmp_path / "afile").touch()
    for changed, said in (
        ({"output_dir": str(two.path), "resume_from_checkpoint": str(first)}, "already holds a run"),
        ({"output_dir": str(tmp_path / "afile")}, "Can't write"),
        ({"output_dir": str(tmp_path / "afile" / "run")}, "Can't write"),
        ({"model_name_or_path": str(tmp_path / "bsae")}, "There is no folder"),
        ({"model_name_or_path": "models/mine.gguf"}, "There is no file models/mine.gguf"),
        ({"adapter_name_or_path": str(tmp_path / "adapter")}, "There is no folder"),
    ):
        resolved = load_job([], {**keys, "model_name_or_path": str(model), **changed}, verb="train")
        assert [said in str(error) for error in obstacles(resolved.job)] == [True], changed
        with pytest.raises(UserError, match=said):
            execute.train(resolved)
        assert any(said in finding.detail for finding in execute.plan(resolved) if finding.status == "fail")
    resolved = load_job([], {**keys, "output_dir": str(one.path), "resume_from_checkpoint": str(first)}, verb="train")
    assert obstacles(resolved.job) == []


def test_a_plan_fetches_no_model_for_a_job_that_can_not_start(
    keys: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.models import locate

    def download(*_: object, **__: object) -> Path:
        raise AssertionError("a model is fetched")

    monkeypatch.setattr(locate, "download_model", download)
    lost = load_job([], {**keys, "model_name_or_path": "some/model", "dataset": "lost.json"}, verb="plan")
    assert [finding.status for finding in execute.plan(lost)] == ["pass", "fail"]


def test_a_run_at_work_is_not_gone_on_with_nor_marked_as_failed(
    keys: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.runs import run as runs

    run = Run.create(tmp_path / "run", {}, {})
    complete(run, 1)
    run.begin_attempt()
    monkeypatch.setattr(runs.os, "getpid", lambda: -1)  # asked from another process
    asked = load_job([], {**keys, "model_name_or_path": "some/model", "resume_from_checkpoint": True}, verb="train")
    with pytest.raises(UserError, match="A run is at work"):
        execute.train(asked)
    assert Run.open(run.path).state.status == "running"


def test_data_that_is_tokenized_already_may_be_gone(keys: dict[str, object], tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    gone = {**keys, "model_name_or_path": "some/model", "dataset": "gone.json", "tokenized_path": str(tokens)}
    job = load_job([], gone, verb="train").job
    assert ["gone.json" in error.message for error in obstacles(job)] == [True]
    (tokens / "prepared.json").touch()
    assert obstacles(job) == []


def test_the_callers_warnings_and_progress_bars_stay() -> None:
    from transformers.utils import logging

    before, shown = list(warnings.filters), logging.is_progress_bar_enabled()
    with settled_libraries():
        assert not logging.is_progress_bar_enabled()
    assert list(warnings.filters) == before and logging.is_progress_bar_enabled() == shown
