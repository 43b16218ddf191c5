"""A small adapter that was trained with rows held back, made once, and evaluations of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.config.load import load_job

ROWS = [
    {"instruction": f"What is {n}?" + " Please." * (n % 4), "output": f"It is {n}." + " 你好" * (n % 2)}
    for n in range(24)
]
HELD_BACK = 6


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One row a line, so that a place tells the row."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(cache))


@pytest.fixture(scope="session")
def trained(
    rows_file: Path, cache: Path, tiny_model_dir: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A LoRA run on the tiny llama that held rows back and evaluated them at its end."""
    from tunesmith.jobs import execute

    keys: dict[str, Any] = {
        "model_name_or_path": str(tiny_model_dir("llama")), "dataset": [str(rows_file)], "val_size": HELD_BACK,
        "do_train": True, "do_eval": True, "max_steps": 12, "learning_rate": 0.03, "per_device_train_batch_size": 6,
        "output_dir": str(tmp_path_factory.mktemp("saves") / "trained"), "precision": "fp32", "infer_dtype": "float32",
        "use_cpu": True, "save_strategy": "no", "max_new_tokens": 12, "do_sample": False, "seed": 7,
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNESMITH_CACHE", str(cache))
        return execute.train(load_job([], keys, verb="train"))


@pytest.fixture
def evaluated(trained: Path, tmp_path: Path) -> Callable[..., Path]:
    """`evaluated(dataset=…, **keys)` → the run directory of an evaluation of `trained`, made in this process."""
    from tunesmith.jobs import evaluate

    def make(model: str | Path = trained, dataset: str | Path | None = None, **keys: Any) -> Path:
        files, given = evaluate.configuration(str(model), None, None if dataset is None else str(dataset), keys)
        place = {"output_dir": str(tmp_path / "evaluated"), "use_cpu": True, **keys}
        return evaluate.evaluate(load_job(files, {**given, **place}, verb="eval"))

    return make


def lines(run: Path) -> list[dict[str, Any]]:
    text = (run / "generated_predictions.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def results(run: Path, kind: str = "all") -> dict[str, float]:
    return json.loads((run / f"{kind}_results.json").read_text(encoding="utf-8"))
