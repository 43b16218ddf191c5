"""How a run ends when something is in its way: one clear message, the state on disk true, checkpoints whole."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import losses, start, state, train
from tunesmith.errors import UserError

Make = Callable[..., dict[str, Any]]
EACH_2 = {"save_strategy": "steps", "save_steps": 2}


def wait_for(condition: Callable[[], bool], process: Any, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_diverging_run_says_so_and_keeps_its_checkpoints(settings: Make, tmp_path: Path) -> None:
    keys = settings(learning_rate=1e30, lr_scheduler_type="constant", warmup_ratio=0.0, max_grad_norm=0.0, **EACH_2)
    with pytest.raises(UserError, match=r"not a number any more at step \d+") as caught:
        train(keys)
    assert "learning_rate" in caught.value.hint
    found = state(tmp_path / "run")
    assert found["status"] == "failed"
    assert "diverged" in found["error"]["message"]


def test_a_full_disk_ends_the_run_and_leaves_earlier_checkpoints(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.training import checkpoints

    write, calls = checkpoints.save_file, []

    def fill_up(tensors: Any, path: Path) -> None:
        calls.append(path)
        if len(calls) > 1:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(tensors, path)

    monkeypatch.setattr(checkpoints, "save_file", fill_up)
    with pytest.raises(UserError, match="No space left on device") as caught:
        train(settings(**EACH_2))
    run = tmp_path / "run"
    assert "runs resume" in caught.value.hint
    assert [path.name for path in sorted(run.glob("*checkpoint*"))] == ["checkpoint-2"]
    assert state(run)["status"] == "failed"

    monkeypatch.undo()
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    train(settings(resume_from_checkpoint=True, **EACH_2))
    assert state(run)["status"] == "finished"
    assert len(losses(run)) == 10


def test_ctrl_c_saves_and_stops_and_the_run_can_go_on(settings: Make, tmp_path: Path) -> None:
    whole = train(settings(output_dir=str(tmp_path / "whole"), num_train_epochs=20.0))
    process = start(settings(num_train_epochs=20.0))
    run = tmp_path / "run"
    wait_for(lambda: (run / "metrics.jsonl").exists(), process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    stopped = state(run)
    assert stopped["status"] == "stopped"
    assert f"checkpoint-{stopped['step']}" in os.listdir(run)
    assert "runs resume" in said

    train(settings(num_train_epochs=20.0, resume_from_checkpoint=True))
    assert losses(run) == losses(whole)


def test_a_stop_file_asks_a_run_to_save_and_end(settings: Make, tmp_path: Path) -> None:
    process = start(settings(num_train_epochs=200.0))
    run = tmp_path / "run"
    wait_for(lambda: (run / "metrics.jsonl").exists(), process)
    (run / "stop").touch()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopping as asked" in said and "Ctrl-C" not in said
    assert state(run)["status"] == "stopped"
    assert list(run.glob("checkpoint-*/COMPLETE"))


def test_ctrl_c_twice_stops_at_once(settings: Make, tmp_path: Path) -> None:
    process = start(settings(num_train_epochs=2000.0, save_strategy="no"))
    run = tmp_path / "run"
    wait_for(lambda: (run / "metrics.jsonl").exists(), process)
    os.kill(process.pid, signal.SIGSTOP)  # both signals are there before a step can end
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    os.kill(process.pid, signal.SIGCONT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert state(run)["status"] == "stopped"
    assert "at once" in state(run)["error"]["message"]


def test_a_used_directory_is_refused_with_the_ways_out(settings: Make) -> None:
    train(settings(max_steps=1))
    with pytest.raises(UserError) as caught:
        train(settings(max_steps=1))
    assert all(way in str(caught.value) for way in ("adapter_name_or_path", "output_dir", "overwrite_output_dir"))
    assert "resume_from_checkpoint" not in str(caught.value)  # it has no checkpoint to go on from
    train(settings(max_steps=1, overwrite_output_dir=True))


def test_resuming_with_other_parameters_is_refused(settings: Make, tmp_path: Path) -> None:
    train(settings(max_steps=2, **EACH_2))
    other = settings(
        resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"), output_dir=str(tmp_path / "b"), lora_rank=3
    )
    with pytest.raises(UserError, match="other trained parameters"):
        train(other)


def test_resume_needs_a_complete_checkpoint(settings: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no complete checkpoint"):
        train(settings(resume_from_checkpoint=True))
    train(settings(max_steps=2, save_only_model=True, **EACH_2))
    with pytest.raises(UserError, match="weights only"):
        train(settings(max_steps=4, resume_from_checkpoint=True, **EACH_2))


def test_unknown_optimizer_is_told_before_anything_is_loaded(settings: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no optimizer called 'adamw_torh'") as caught:
        train(settings(optim="adamw_torh"))
    assert "adamw_torch" in caught.value.hint
    assert not (tmp_path / "run").exists()


def test_refused_rows_are_listed_in_the_run_and_fatal_when_strict(
    settings: Make, rows_file: Path, tmp_path: Path
) -> None:
    rows = json.loads(rows_file.read_text(encoding="utf-8"))
    rows[3] = {"instruction": "no answer here"}
    rows_file.write_text(json.dumps(rows), encoding="utf-8")
    train(settings(max_steps=1))
    refused = [
        json.loads(line) for line in (tmp_path / "run" / "refused.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert len(refused) == 1
    assert refused[0]["file"].endswith("rows.json")
    assert refused[0]["reason"]
    with pytest.raises(UserError, match=r"rows\.json"):
        train(settings(max_steps=1, strict=True, output_dir=str(tmp_path / "strict")))


def test_no_row_left_to_train_on(settings: Make, rows_file: Path) -> None:
    rows_file.write_text(json.dumps([{"instruction": "a", "output": ""}]), encoding="utf-8")
    with pytest.raises(UserError, match=r"rows"):
        train(settings())


def test_a_start_that_fails_leaves_the_run_that_it_was_to_replace(settings: Make, tmp_path: Path) -> None:
    run = train(settings(max_steps=1))
    before = (run / "adapter_model.safetensors").read_bytes()
    with pytest.raises(UserError):
        train(settings(max_steps=1, overwrite_output_dir=True, lora_target="no_such_layer"))
    assert (run / "adapter_model.safetensors").read_bytes() == before
    assert state(run)["status"] == "finished"


def test_a_start_that_failed_does_not_block_its_folder(settings: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        train(settings(max_steps=1, lora_target="no_such_layer"))
    assert state(train(settings(max_steps=1)))["status"] == "finished"


def test_fp16_that_diverges_says_so_too(settings: Make) -> None:
    import torch

    from tunesmith.models.precision import Precision
    from tunesmith.training import ground

    keys = settings(learning_rate=1e9, lr_scheduler_type="constant", warmup_ratio=0.0, num_train_epochs=5.0)
    fp16 = Precision(torch.float16, torch.float32, "fp16 for the test; a CPU would not take it")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(UserError, match="not a number any more"):
        patch.setattr(ground, "choose_precision", lambda *_: fp16)
        train(keys)


def test_training_in_a_thread_does_without_signals(settings: Make, tmp_path: Path) -> None:
    import threading

    thread = threading.Thread(target=train, args=(settings(max_steps=1),))
    thread.start()
    thread.join()
    assert state(tmp_path / "run")["status"] == "finished"


def test_an_evaluation_needs_rows(settings: Make, rows_file: Path, tmp_path: Path) -> None:
    saved = str(tmp_path / "tokens")
    train(settings(tokenized_path=saved, max_steps=1))
    with pytest.raises(UserError, match="no data for it"):
        train(
            settings(
                tokenized_path=saved, eval_strategy="steps", eval_steps=1, dataset=None, output_dir=str(tmp_path / "b")
            )
        )


def test_an_evaluation_due_when_a_stop_comes_is_made(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.training.report import Watch

    monkeypatch.setattr(Watch, "stop_asked", lambda self: self._run.state.step >= 4)
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(settings(val_size=8, eval_strategy="steps", eval_steps=2))
    points = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert state(run)["status"] == "stopped"
    assert [point["step"] for point in points if "eval_loss" in point] == [2, 4]


def test_ctrl_c_saves_and_stops_several_processes(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPROC_PER_NODE", "2")
    process = start(settings(num_train_epochs=2000.0))
    run = tmp_path / "run"
    wait_for(lambda: (run / "metrics.jsonl").exists(), process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert state(run)["status"] == "stopped"
    assert list(run.glob("checkpoint-*/COMPLETE"))
    assert "Traceback" not in said and "runs resume" in said


def test_a_detached_run_trains_on_its_own(settings: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tunesmith.cli.main import main

    run = tmp_path / "run"
    assert main(["train", "--detach", *(f"{key}={value}" for key, value in settings(max_steps=1).items())]) == 0
    assert f"runs show {run}" in capsys.readouterr().out
    deadline = time.monotonic() + 120
    while state(run)["status"] != "finished":
        assert time.monotonic() < deadline, (run / "logs" / "launch.log").read_text(encoding="utf-8")
        time.sleep(0.1)


def test_a_stopped_run_is_resumed_in_the_background(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tunesmith.cli.main import main
    from tunesmith.training.report import Watch

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "stop_asked", lambda self: self._run.state.step >= 4)
        with pytest.raises(KeyboardInterrupt):
            train(settings())
    run = tmp_path / "run"
    assert main(["runs", "resume", "--detach", str(run)]) == 0
    said = capsys.readouterr().out
    assert "after step 4" in said and f"runs stop {run}" in said
    deadline = time.monotonic() + 120
    while state(run)["status"] != "finished":
        assert time.monotonic() < deadline, (run / "logs" / "launch.log").read_text(encoding="utf-8")
        time.sleep(0.1)
    assert len(losses(run)) == 10


def test_ctrl_c_while_libraries_are_loaded_leaves_no_queued_run(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    process = start(settings(max_steps=1))
    wait_for(lambda: (run / "env.json").exists(), process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert state(run)["status"] == "stopped" and "Traceback" not in said
    assert state(train(settings(max_steps=1)))["status"] == "finished"


@pytest.mark.parametrize("steps", [1, 2])
def test_a_start_that_was_killed_before_it_began_does_not_block_its_folder(
    settings: Make, tmp_path: Path, steps: int
) -> None:
    """Neither for the same job nor for another."""
    from tunesmith.cli.main import main
    from tunesmith.runs.read import RunReader

    run = tmp_path / "run"
    process = start(settings(max_steps=1))
    wait_for(lambda: (run / "state.json").exists() and state(run)["pid"] == process.pid, process)
    process.kill()
    process.communicate()
    assert state(run)["status"] == "queued" and RunReader(run).state().status == "killed"
    assert main(["runs", "stop", str(run)]) == 2 and not (run / "stop").exists()
    assert state(train(settings(max_steps=steps)))["status"] == "finished"


def test_a_stop_that_is_asked_while_a_run_starts_is_heard(settings: Make, tmp_path: Path) -> None:
    from tunesmith.config.load import load_job
    from tunesmith.jobs import execute

    run = execute.queue(load_job([], settings(), verb="train"))
    run.stop.touch()
    with pytest.raises(KeyboardInterrupt):
        train(settings())
    assert state(run.root)["step"] == 1


def test_ctrl_c_in_python_is_raised_when_the_run_is_saved(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.training.report import Watch

    tick = Watch.tick
    monkeypatch.setattr(Watch, "tick", lambda self, *at: (tick(self, *at), signal.raise_signal(signal.SIGTERM))[0])
    with pytest.raises(KeyboardInterrupt):
        train(settings())
    run = tmp_path / "run"
    assert state(run)["status"] == "stopped" and state(run)["error"] is None
    assert (run / "checkpoint-1" / "COMPLETE").exists()


def test_a_checkpoint_at_the_end_leaves_nothing_to_train(settings: Make) -> None:
    run = train(settings(**EACH_2))
    with pytest.raises(UserError, match="nothing is left") as caught:
        train(settings(resume_from_checkpoint=True, **EACH_2))
    assert "num_train_epochs" in caught.value.hint and "resume_from_checkpoint" in caught.value.hint
    assert (run / "adapter_model.safetensors").exists()
    assert state(run)["status"] == "finished" and state(run)["step"] == 10


def test_a_finished_run_is_trained_further_from_its_end(settings: Make, tmp_path: Path) -> None:
    """Its last step is a checkpoint though save_steps is beyond it; going on is as if it had never ended."""
    shared = {"save_strategy": "steps", "lr_scheduler_type": "constant", "warmup_ratio": 0.0, "logging_steps": 4}
    whole = train(settings(output_dir=str(tmp_path / "whole"), num_train_epochs=2.0, **shared))
    run = train(settings(**shared))
    assert [path.name for path in run.glob("checkpoint-*")] == ["checkpoint-10"]
    with pytest.raises(UserError) as caught:
        train(settings(**shared))
    assert "num_train_epochs" in caught.value.hint and "resume_from_checkpoint: true" in caught.value.hint
    train(settings(num_train_epochs=2.0, resume_from_checkpoint=True, **shared))
    assert state(run)["step"] == 20
    name = "adapter_model.safetensors"
    assert (run / name).read_bytes() == (whole / name).read_bytes()


def test_going_back_behind_a_finished_result_is_refused(settings: Make, tmp_path: Path) -> None:
    run = train(settings(**EACH_2, save_total_limit=9))
    for step in (6, 8, 10):
        shutil.rmtree(run / f"checkpoint-{step}")
    before = (run / "adapter_model.safetensors").read_bytes()
    further = settings(num_train_epochs=2.0, resume_from_checkpoint=True, **EACH_2)
    with pytest.raises(UserError, match="finished at step 10, and its newest checkpoint is of step 4") as caught:
        train(further)
    assert f"adapter_name_or_path: {run}" in caught.value.hint
    assert (run / "adapter_model.safetensors").read_bytes() == before
    assert state(run)["status"] == "finished"


def test_a_last_checkpoint_that_does_not_fit_costs_nothing_else(
    settings: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tunesmith.training import checkpoints

    def full(tensors: Any, path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoints, "save_file", full)
    run = train(settings(max_steps=2, save_strategy="steps"))
    assert state(run)["status"] == "finished" and (run / "adapter_model.safetensors").exists()
    assert not list(run.glob("*checkpoint-*"))
    assert "No space left on device" in capsys.readouterr().err
