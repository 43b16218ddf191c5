"""A tiny job: two-layer model, forty rows, seconds to train."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    """Alpaca rows of quite different lengths."""
    rows = [
        {
            "instruction": f"What is {n} plus {n}?" + " Please." * (n % 7),
            "output": f"{n} plus {n} is {2 * n}. " * (1 + n % 5),
        }
        for n in range(40)
    ]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


@pytest.fixture
def settings(
    tmp_path: Path, rows_file: Path, tiny_model_dir: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Make:
    """`settings(learning_rate=…)` → the keys of a job in fp32 on the tiny llama; output_dir is tmp/run."""
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))

    def make(**changed: Any) -> dict[str, Any]:
        keys = {
            "model_name_or_path": str(tiny_model_dir("llama")),
            "stage": "sft",
            "do_train": True,
            "finetuning_type": "lora",
            "dataset": str(rows_file),
            "cutoff_len": 128,
            "output_dir": str(tmp_path / "run"),
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-2,
            "lr_scheduler_type": "cosine",
            "warmup_ratio": 0.1,
            "lora_dropout": 0.1,
            "num_train_epochs": 1.0,
            "logging_steps": 1,
            "save_strategy": "no",
            "precision": "fp32",
            "use_cpu": True,
        }
        return {key: value for key, value in {**keys, **changed}.items() if value is not None}

    return make


def train(keys: dict[str, Any]) -> Path:
    """Train in this process; returns the run directory."""
    from tunesmith.config.load import load_job
    from tunesmith.jobs import execute

    return execute.train(load_job([], keys, verb="train"))


def start(keys: dict[str, Any], **options: Any) -> subprocess.Popen[str]:
    """Train in a process of its own, as the command line does."""
    arguments = [
        f"{key}={json.dumps(value) if isinstance(value, (list, dict)) else value}" for key, value in keys.items()
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "tunesmith", "train", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        env={**os.environ, "OMP_NUM_THREADS": "1"}, preexec_fn=_listen_to_ctrl_c, **options,
    )  # fmt: skip


def _listen_to_ctrl_c() -> None:
    """A test run in the background of a shell has it ignored, and its children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def losses(run: Path) -> list[float]:
    """The loss of every step, later attempts over earlier ones."""
    from tunesmith.runs.read import RunReader, without_retaken

    return [point["loss"] for point in without_retaken(RunReader(run).metrics()) if "loss" in point]


def state(run: Path) -> dict[str, Any]:
    return json.loads((run / "state.json").read_text(encoding="utf-8"))
