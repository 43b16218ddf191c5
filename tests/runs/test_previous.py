"""Replacing a run: the old one is safe until the new one has trained a step, wherever the process is killed."""

from pathlib import Path
from typing import Any

import pytest

from tunesmith.errors import UserError
from tunesmith.runs import previous
from tunesmith.runs.follower import Follower
from tunesmith.runs.layout import RunLayout
from tunesmith.runs.read import RunReader
from tunesmith.runs.run import Run


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A finished run with weights and a log, and a file of somebody else."""
    run = Run.create(tmp_path / "r", {}, "seed: 1\n")
    run.begin_attempt()
    run.metric(1, loss=2.0)
    run.update(step=1)
    (run.path / "adapter_model.safetensors").write_bytes(b"old")
    (run.path / "notes.txt").write_text("mine", encoding="utf-8")
    run.finish("finished")
    return run.path


def is_whole(path: Path) -> bool:
    layout = RunLayout(path)
    return (
        (path / "adapter_model.safetensors").read_bytes() == b"old"
        and layout.resolved.read_text(encoding="utf-8") == "seed: 1\n"
        and RunReader(path).state().status == "finished"
        and len(RunReader(path).metrics()) == 1
        and (path / "notes.txt").exists()
        and not layout.previous.exists()
        and not layout.moving.exists()
    )


def replaced(path: Path) -> Run:
    return Run.create(path, {}, "seed: 2\n", overwrite=True)


def test_a_run_that_fails_before_its_first_step_gives_the_old_one_back(old: Path) -> None:
    new = replaced(old)
    assert not (old / "adapter_model.safetensors").exists()
    new.begin_attempt()
    new.run_log("no such model")
    new.finish("failed", UserError("There is no model x."))
    assert is_whole(old)
    assert RunReader(old).events()[-1]["cause"] == "There is no model x."


def test_the_first_step_lets_the_old_run_go(old: Path) -> None:
    new = replaced(old)
    new.begin_attempt()
    new.update(steps=5)
    assert new.layout.previous.is_dir()
    new.update(step=1, epoch=0.2)
    assert not new.layout.previous.exists()
    new.finish("failed")
    assert RunReader(old).state().step == 1


def test_a_killed_start_is_undone_by_the_next(old: Path) -> None:
    replaced(old).run_log("killed here")
    with pytest.raises(UserError, match=r"already holds a run \(finished"):
        Run.create(old, {}, "seed: 3\n")
    assert is_whole(old)
    replaced(old)
    replaced(old).finish("failed")
    assert is_whole(old)


@pytest.mark.parametrize("moves", range(7))
@pytest.mark.parametrize("way", ["set_aside", "put_back"])
def test_killed_between_any_two_files_nothing_is_lost(
    old: Path, moves: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, done = Path.rename, []

    def killed(self: Path, target: Any) -> Path:
        if len(done) == moves:
            raise KeyboardInterrupt
        done.append(target)
        return rename(self, target)

    layout = RunLayout(old)
    if way == "put_back":
        replaced(old)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", killed)
        getattr(previous, way)(layout)
    with pytest.raises(UserError, match="already holds a run"):
        Run.create(old, {}, "seed: 3\n")
    assert is_whole(old)


@pytest.mark.parametrize("status", ["failed", "stopped"])
def test_a_run_that_left_nothing_trained_does_not_block_its_folder(tmp_path: Path, status: Any) -> None:
    run = Run.create(tmp_path / "r", {}, "template: wrong\n")
    run.begin_attempt()
    run.finish(status, UserError("There is no template wrong."))
    assert Run.create(run.path, {}, "template: right\n").begin_attempt() == 1
    assert not run.layout.previous.exists()


def test_a_follower_writes_nothing(old: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in old.rglob("*")}
    run = Follower(old)
    run.begin_attempt()
    run.update(steps=3)
    run.update(step=1, epoch=0.5)
    run.metric(1, loss=1.0)
    run.event("warning")
    run.sample(kind="training")
    run.refused(file="a")
    run.run_log("said")
    run.add_environment(device="cuda:1")
    run.finish("failed", UserError("lost"))
    assert {path: path.stat().st_mtime_ns for path in old.rglob("*")} == before
    run.layout.stop.touch()
    assert run.stop_asked()
