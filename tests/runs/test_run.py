import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tunesmith.errors import UserError
from tunesmith.runs.layout import RunLayout, complete_marker
from tunesmith.runs.read import RunReader
from tunesmith.runs.run import Run, flat_yaml

ASKED = {"stage": "sft", "learning_rate": 1e-05}


def make_checkpoint(run: Run, step: int, *, complete: bool = True) -> Path:
    folder = run.layout.checkpoint(step)
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    if complete:
        complete_marker(folder).touch()
    return folder


def test_a_run_from_its_start_to_its_end(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "saves" / "ada", ASKED, "stage: sft\n")
    reader = RunReader(run.path)
    assert reader.state().status == "queued"
    assert run.layout.resolved.read_text(encoding="utf-8") == "stage: sft\n"
    assert json.loads(run.layout.environment.read_text(encoding="utf-8"))["packages"]["tunesmith"]

    assert run.begin_attempt() == 1
    run.update(steps=4)
    run.metric(1, loss=2.0, learning_rate=1e-4, epoch=0.25)
    run.update(step=1, epoch=0.25)
    assert reader.state().status == "running"
    assert reader.state().pid == os.getpid()
    run.finish("finished")

    state = reader.state()
    assert (state.status, state.steps, state.step, state.error) == ("finished", 4, 1, None)
    assert state.ended is not None
    assert [event["kind"] for event in reader.events()] == ["started", "finished"]


def test_the_asked_configuration_is_readable_yaml_with_true_numbers(tmp_path: Path) -> None:
    import yaml

    config = {
        "learning_rate": 1e-05,
        "dataset": "甲,乙",
        "lora_target": ["q", "v"],
        "bf16": True,
        "output_dir": Path("a"),
    }
    assert yaml.safe_load(flat_yaml(config)) == {**config, "output_dir": "a"}


def test_trainer_log_has_the_keys_of_llamafactory(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", ASKED, ASKED)
    run.begin_attempt()
    run.update(steps=30)
    run.metric(10, loss=1.5, learning_rate=0.001, epoch=0.3, tokens_per_second=20.5, tokens=426, grad_norm=1.0)
    run.metric(10, eval_loss=1.4, epoch=0.3)
    first, second = map(json.loads, run.layout.trainer_log.read_text(encoding="utf-8").splitlines())
    assert {"current_steps", "total_steps", "loss", "lr", "epoch", "percentage", "elapsed_time", "remaining_time",
            "throughput", "total_tokens"} == set(first)  # fmt: skip
    assert (first["lr"], first["percentage"], first["throughput"], first["total_tokens"]) == (0.001, 33.33, 20.5, 426)
    assert first["elapsed_time"] == "0:00:00"
    assert second["eval_loss"] == 1.4


def test_a_used_directory_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", ASKED, ASKED)
    run.begin_attempt()
    run.update(step=7)
    make_checkpoint(run, 7)
    run.finish("stopped")
    with pytest.raises(UserError) as refused:
        Run.create(tmp_path / "r", ASKED, ASKED)
    assert "already holds a run (stopped, step 7)" in refused.value.message
    for way in ("resume_from_checkpoint", "another output_dir", "overwrite_output_dir: true"):
        assert way in refused.value.hint


def test_overwriting_clears_the_runs_own_files_and_nothing_else(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", ASKED, ASKED)
    run.begin_attempt()
    run.metric(1, loss=2.0)
    make_checkpoint(run, 5)
    (run.path / "adapter_model.safetensors").write_bytes(b"old")
    foreign = run.path / "my notes.txt"
    foreign.write_text("keep", encoding="utf-8")
    run.finish("finished")

    fresh = Run.create(run.path, {"stage": "sft", "seed": 2}, "seed: 2\n", overwrite=True)
    assert foreign.read_text(encoding="utf-8") == "keep"
    assert not (run.path / "adapter_model.safetensors").exists()
    assert fresh.layout.checkpoints() == []
    assert RunReader(run.path).metrics() == []
    assert fresh.begin_attempt() == 1


def test_the_folder_of_a_base_model_is_never_taken_for_output(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}", encoding="utf-8")
    (model / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(UserError, match="not by a run of Tunesmith") as refused:
        Run.create(model, ASKED, ASKED, overwrite=True)
    assert "config.json" in refused.value.message
    assert (model / "model.safetensors").read_bytes() == b"weights"
    assert not RunLayout(model).state.exists()


def test_files_that_no_run_writes_do_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    assert Run.create(tmp_path, ASKED, ASKED).state.status == "queued"


def test_a_live_run_is_not_overwritten_nor_begun_twice(tmp_path: Path) -> None:
    path = tmp_path / "r"
    program = (
        "import sys, time; from pathlib import Path; from tunesmith.runs.run import Run\n"
        "Run.create(Path(sys.argv[1]), {}, 'a: 1').begin_attempt(); print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UserError, match=f"process {other.pid}") as refused:
            Run.create(path, ASKED, ASKED, overwrite=True)
        assert "tunesmith runs stop" in refused.value.hint
        with pytest.raises(UserError, match="A run is at work"):
            Run.open(path).begin_attempt()
        assert RunReader(path).state().status == "running"
        other.kill()
        other.wait()

    state = RunReader(path).state()
    assert state.status == "killed"
    assert state.error is not None and "gone" in state.error["message"]
    assert Run.create(path, ASKED, ASKED, overwrite=True).state.attempt == 0


def test_two_threads_of_a_process_write_its_state(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", ASKED, ASKED)
    run.begin_attempt()

    def work(number: int) -> None:
        for step in range(20):
            run.update(steps=step)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [None] * 4, "none stands in another's way"
    assert RunReader(run.path).state().steps == 19


def test_a_pid_that_now_belongs_to_another_process_reads_as_killed(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", ASKED, ASKED)
    run.begin_attempt()
    run.update(born="an earlier life of this pid")
    assert RunReader(run.path).state().status == "killed"


def test_on_another_host_only_silence_tells(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", ASKED, ASKED)
    run.begin_attempt()
    run.update(host="elsewhere", pid=2**22 + 1)
    assert RunReader(run.path).state().status == "running"
    record = json.loads(run.layout.state.read_text(encoding="utf-8"))
    record["heartbeat"] = time.time() - 7200
    run.layout.state.write_text(json.dumps(record), encoding="utf-8")
    assert RunReader(run.path).state().status == "killed"


def test_a_queued_run_is_taken_over_only_with_the_same_configuration(tmp_path: Path) -> None:
    Run.create(tmp_path / "r", ASKED, "seed: 1\n")
    assert Run.create(tmp_path / "r", {}, "seed: 1\n").state.status == "queued"
    with pytest.raises(UserError, match="already holds a run"):
        Run.create(tmp_path / "r", {}, "seed: 2\n")


def test_an_attempt_that_left_a_log_but_no_state_does_not_block_the_next(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", ASKED, ASKED)
    run.layout.attempt_log(1).touch()
    assert run.begin_attempt() == 2


def test_resuming_counts_attempts_and_clears_the_error_and_the_stop_file(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", ASKED, ASKED)
    run.begin_attempt()
    run.layout.stop.touch()
    assert run.stop_asked()
    assert RunReader(run.path).state().status == "stopping"
    run.finish("failed", UserError("The loss is NaN at step 3.", hint="Lower learning_rate."))
    assert RunReader(run.path).state().error == {
        "message": "The loss is NaN at step 3.",
        "hint": "Lower learning_rate.",
    }

    again = Run.open(run.path)
    assert again.begin_attempt(from_step=2) == 2
    assert not again.stop_asked()
    assert RunReader(run.path).state().error is None
    again.run_log("going on")
    assert again.layout.attempt_log(2).read_text(encoding="utf-8") == "going on\n"


def test_only_complete_checkpoints_count(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", ASKED, ASKED)
    make_checkpoint(run, 100)
    make_checkpoint(run, 20)
    make_checkpoint(run, 300, complete=False)
    assert [checkpoint.step for checkpoint in RunReader(run.path).checkpoints()] == [20, 100]


def test_a_full_disk_is_told_plainly_and_the_end_is_still_recorded(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", ASKED, ASKED)
    run.begin_attempt()
    run.layout.metrics.symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"metrics\.jsonl: No space left") as full:
        run.metric(1, loss=1.0)
    assert "disk is full" in full.value.hint
    run.layout.state.with_name(f".state.json.{os.getpid()}.part").symlink_to("/dev/full")
    run.finish("failed", full.value)
    state = RunReader(run.path).state()
    assert state.status == "failed"
    assert state.error is not None and "No space left" in state.error["message"]


def test_a_path_through_a_file_is_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="Can't write") as refused:
        Run.create(tmp_path / "file" / "run", ASKED, ASKED)
    assert refused.value.field == "output_dir"


def test_opening_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run directory"):
        Run.open(tmp_path)


def test_numbers_that_json_lacks_and_tensor_scalars_are_recorded(tmp_path: Path) -> None:
    import numpy

    run = Run.create(tmp_path / "r", ASKED, ASKED)
    run.metric(1, loss=float("nan"), grad_norm=numpy.float32(0.5))
    (point,) = RunReader(run.path).metrics()
    assert point["loss"] is None
    assert point["grad_norm"] == 0.5
