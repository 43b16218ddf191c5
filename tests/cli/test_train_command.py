import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tunesmith.cli.main import main
from tunesmith.jobs import launch
from tunesmith.jobs.launch import Spread


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    (tmp_path / "d.jsonl").touch()
    path.write_text("model_name_or_path: some/model\nstage: sft\ndataset: d.jsonl\noutput_dir: out\n", encoding="utf-8")
    return path


def test_a_dry_run_prints_a_configuration_that_runs_again(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(config), "learning_rate=2e-5", "--dry-run"]) == 0
    first = capsys.readouterr().out
    assert yaml.safe_load(first)["learning_rate"] == 2e-5
    again = tmp_path / "again.yaml"
    again.write_text(first, encoding="utf-8")
    assert main(["train", str(again), "--dry-run"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == yaml.safe_load(first)
    assert not (tmp_path / "out").exists()


def test_a_dry_run_tells_all_that_stands_in_the_way(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.jsonl").unlink()
    checkpoint = tmp_path / "out" / "checkpoint-4"
    checkpoint.mkdir(parents=True)
    (checkpoint / "adapter_config.json").touch()
    assert main(["train", str(config), "--dry-run"]) == 2
    told = capsys.readouterr()
    assert yaml.safe_load(told.out)["output_dir"] == "out"
    assert "no data set or file called 'd.jsonl'" in told.err and "overwrite_output_dir" in told.err


def test_flags_alone_do_as_for_llamafactory(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(config.parent)
    given = ["--stage", "sft", "--do_train", "True", "--model_name_or_path", "some/model", "--dataset", "d.jsonl"]
    assert main(["train", *given, "--lora_rank", "16", "--dry-run"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["lora_rank"] == 16


def test_a_misspelled_key_gets_a_suggestion(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(config), "lerning_rate=2e-5", "--dry-run"]) == 2
    assert "learning_rate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("model", "model_name_or_path"),
        ("lr", "learning_rate"),
        ("epochs", "num_train_epochs"),
        ("grad_accum", "gradient_accumulation_steps"),
        ("data", "dataset"),
        ("output", "output_dir"),
    ],
)
def test_what_other_tools_call_a_key_gets_ours(key: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", f"--{key}", "1", "--dry-run"]) == 2
    assert f"Did you mean {meant}?" in capsys.readouterr().err


def test_every_short_name_stands_for_a_key() -> None:
    from tunesmith.config.fields import fields
    from tunesmith.config.legacy_keys import LEGACY
    from tunesmith.config.settle import SHORT

    assert set(SHORT.values()) <= set(fields()) and not set(SHORT) & (set(fields()) | set(LEGACY))


def test_help_names_files_that_exist() -> None:
    from tunesmith.cli.train import TRAIN_HELP

    named = re.findall(r"examples/\S+\.yaml", TRAIN_HELP)
    assert named and all((Path(__file__).parents[2] / name).is_file() for name in named)


def test_nothing_given_says_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 2
    assert "tunesmith train CONFIG.yaml" in capsys.readouterr().err


def test_help_explains_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "lora_rank"]) == 0
    assert "lora_rank" in capsys.readouterr().out
    assert main(["help", "lora_rnak"]) == 2
    assert "lora_rank" in capsys.readouterr().err


def test_several_devices_train_as_one_run(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers get one output_dir, though a default one is named after the time."""
    calls: list[tuple[list[str], Spread]] = []

    def run_spread(arguments: list[str], wanted: Spread, run: Path) -> int:
        assert f"output_dir={run}" == arguments[-1]
        calls.append((arguments, wanted))
        return 7

    config.write_text(config.read_text(encoding="utf-8").replace("output_dir: out\n", ""), encoding="utf-8")
    monkeypatch.setattr(launch, "run_spread", run_spread)
    monkeypatch.setenv("NPROC_PER_NODE", "2")
    assert main(["train", str(config), "seed=1"]) == 7
    ((arguments, wanted),) = calls
    assert wanted == Spread(2, 1)
    assert arguments[:3] == ["train", str(config), "seed=1"]
    assert arguments[3].startswith("output_dir=saves/model/lora/")


class TestSpread:
    @pytest.fixture(autouse=True)
    def no_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gpus(monkeypatch, 0)

    def gpus(self, monkeypatch: pytest.MonkeyPatch, count: int, cuda: str | None = "13.0") -> None:
        monkeypatch.setattr(launch, "nvidia_gpus", lambda: [f"GPU {i}: NVIDIA T4" for i in range(count)])
        monkeypatch.setattr(launch, "torch_cuda_version", lambda: cuda)

    def test_one_device_makes_no_process_group(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert launch.spread({}).alone
        self.gpus(monkeypatch, 1)
        assert launch.spread({}).alone
        assert launch.spread({"FORCE_TORCHRUN": "1"}).alone

    def test_all_gpus_are_used_unless_fewer_are_chosen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gpus(monkeypatch, 4)
        assert launch.spread({}) == Spread(4, 1)
        assert launch.spread({"CUDA_VISIBLE_DEVICES": "0,2"}) == Spread(2, 1)
        assert launch.spread({"CUDA_VISIBLE_DEVICES": ""}).alone
        assert launch.spread({"CUDA_VISIBLE_DEVICES": "-1"}).alone
        assert launch.spread({"NPROC_PER_NODE": "1"}).alone
        assert launch.spread({}, use_cpu=True).alone
        assert launch.spread({"NPROC_PER_NODE": "2"}, use_cpu=True) == Spread(2, 1)

    def test_gpus_that_torch_cannot_use_do_not_count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gpus(monkeypatch, 4, cuda=None)
        assert launch.spread({}).alone

    def test_a_worker_does_not_spread_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gpus(monkeypatch, 4)
        assert launch.spread({"LOCAL_RANK": "0", "NPROC_PER_NODE": "4"}).alone

    def test_several_machines(self) -> None:
        environment = {"NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
        wanted = launch.spread(environment)
        assert wanted == Spread(1, 2)
        command = launch.torchrun_command(["train", "a b.yaml"], wanted, environment)
        assert command[:3] == [sys.executable, "-m", "tunesmith.jobs.torchrun"]
        assert command[command.index("--node-rank") + 1] == "1"
        assert command[command.index("--master-addr") + 1] == "10.0.0.1"
        assert command[-4:] == ["--module", "tunesmith", "train", "a b.yaml"]

    def test_elastic_jobs(self) -> None:
        environment = {
            "RDZV_ID": "job",
            "MIN_NNODES": "1",
            "MAX_NNODES": "3",
            "MAX_RESTARTS": "2",
            "NPROC_PER_NODE": "2",
        }
        command = launch.torchrun_command(["train"], launch.spread(environment), environment)
        assert command[command.index("--nnodes") + 1] == "1:3"
        assert command[command.index("--max-restarts") + 1] == "2"

    def test_a_count_that_is_none(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, config: Any
    ) -> None:
        monkeypatch.setenv("NPROC_PER_NODE", "two")
        assert main(["train", str(config)]) == 2
        assert "NPROC_PER_NODE is 'two'" in capsys.readouterr().err

    def test_several_machines_without_a_port(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: Any, config: Any
    ) -> None:
        monkeypatch.setenv("NNODES", "2")
        monkeypatch.delenv("MASTER_PORT", raising=False)
        assert main(["train", str(config)]) == 2
        assert "MASTER_PORT" in capsys.readouterr().err

    def test_a_port_that_another_process_listens_on(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: Any, config: Any
    ) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            monkeypatch.setenv("NPROC_PER_NODE", "2")
            monkeypatch.setenv("MASTER_PORT", str(port))
            assert main(["train", str(config)]) == 2
        assert f"MASTER_PORT is {port}" in capsys.readouterr().err


def test_a_detached_job_outlives_its_starter_and_keeps_its_output(tmp_path: Path) -> None:
    run = tmp_path / "run"
    program = (
        "import sys; from pathlib import Path; from tunesmith.jobs.launch import start_detached\n"
        "print(start_detached(Path(sys.argv[1]), ['version']))"
    )
    starter = subprocess.run(
        [sys.executable, "-c", program, str(run)], capture_output=True, text=True, encoding="utf-8", check=True
    )
    from tunesmith.runs.processes import birth

    while birth(int(starter.stdout)) is not None:
        time.sleep(0.02)
    assert (run / "logs" / "launch.log").read_text(encoding="utf-8").startswith("tunesmith 0.")


def test_torchrun_starts_one_process_per_device(tmp_path: Path) -> None:
    """The command that is built is one that torchrun takes: each worker says its version."""
    command = launch.torchrun_command(["version"], Spread(2, 1), {})
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("tunesmith 0.") == 2


def test_a_mistake_is_told_once_by_all_processes_together(tmp_path: Path) -> None:
    command = launch.torchrun_command(["train", "there_is_no.yaml"], Spread(2, 1), {})
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("There is no config file") == 1
    assert "Traceback" not in done.stderr and "torch" not in done.stderr


def test_a_process_that_a_signal_ended_is_named(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text("import os; os.kill(os.getpid(), 9)", encoding="utf-8")
    command = launch.torchrun_command([], Spread(1, 1), {})
    command[command.index("--module") :] = ["worker.py"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=tmp_path)
    assert done.returncode == 1
    assert "rank 0 was ended by the signal SIGKILL" in done.stderr
