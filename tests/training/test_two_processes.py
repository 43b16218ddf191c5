"""Two processes on CPUs (gloo) train as one does: the loss is divided once, by what all ranks trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import losses, start, state, train

Make = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_two_processes_give_the_losses_of_one(
    settings: Make, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty rows in steps of twelve: in the last step of the epoch the ranks hold unlike shares."""
    shared = {"finetuning_type": method, "lora_dropout": 0.0 if method == "lora" else None, "learning_rate": 1e-3}
    alone = train(settings(per_device_train_batch_size=12, output_dir=str(tmp_path / "alone"), **shared))
    monkeypatch.setenv("NPROC_PER_NODE", "2")
    process = start(settings(per_device_train_batch_size=6, val_size=None, **shared))
    said, _ = process.communicate(timeout=180)
    assert process.returncode == 0, said
    assert state(tmp_path / "run")["status"] == "finished"
    assert losses(tmp_path / "run") == pytest.approx(losses(alone), rel=1e-4)
