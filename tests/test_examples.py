"""Every file of examples/ is run: with a tiny model in place of its own, for a few steps, into a folder of the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.config.load import load_job
from tunesmith.errors import UserError

ROOT = Path(__file__).parents[1]
EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples").glob("*.yaml"))}
TRAINED_ON_A_GPU = ["qlora"]
TALKED_TO = ["chat"]
EVALUATED = ["predict"]
TRAINED = [name for name in EXAMPLES if name not in TRAINED_ON_A_GPU + TALKED_TO + EVALUATED]
WHOLE_MODELS = ["full_sft", "freeze_sft"]
STEPS = 3

Train = Callable[..., Path]


@pytest.fixture(scope="module")
def train(tiny_model_dir: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Train:
    """`train("lora_sft")` → the directory of that example's run, made once, on the tiny Qwen3."""
    from tunesmith.jobs import execute

    folder = tmp_path_factory.mktemp("examples")
    runs: dict[str, Path] = {}

    def run(name: str, **changed: Any) -> Path:
        if name not in runs:
            small = {
                "model_name_or_path": str(tiny_model_dir("qwen3")),
                "dataset_dir": str(ROOT / "data"),
                "output_dir": str(folder / name),
                "cutoff_len": 96,
                "max_steps": STEPS,
                "logging_steps": 1,
                "use_cpu": True,
            }
            runs[name] = execute.train(load_job([EXAMPLES[name]], {**small, **changed}, verb="train"))
        return runs[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNESMITH_CACHE", str(folder / "cache"))
        yield run


def special_settings(name: str, train: Train, smollm2_gguf: Path) -> dict[str, Any]:
    """What the example needs beside a tiny model."""
    if name == "lora_sft_gguf":
        return {"model_name_or_path": str(smollm2_gguf), "max_steps": 1, "per_device_train_batch_size": 1}
    if name == "continue_adapter":
        return {"adapter_name_or_path": str(train("lora_sft"))}
    if name == "eval_and_best":
        return {"eval_steps": 1, "save_steps": 1, "max_steps": 4}
    return {}


@pytest.mark.parametrize("name", TRAINED)
def test_training_examples_train(name: str, train: Train, smollm2_gguf: Path) -> None:
    run = train(name, **special_settings(name, train, smollm2_gguf))
    assert json.loads((run / "state.json").read_text(encoding="utf-8"))["status"] == "finished"
    losses = [point["loss"] for point in points(run) if "loss" in point]
    assert losses and all(0 < loss < 20 for loss in losses)
    assert (run / ("model.safetensors" if name in WHOLE_MODELS else "adapter_model.safetensors")).is_file()
    assert (run / "training_loss.png").is_file()


def test_evaluations_are_made_and_the_best_checkpoint_is_kept(train: Train, smollm2_gguf: Path) -> None:
    run = train("eval_and_best", **special_settings("eval_and_best", train, smollm2_gguf))
    found = {point["step"]: point["eval_loss"] for point in points(run) if "eval_loss" in point}
    best = min(found, key=lambda step: found[step])
    assert len(found) >= 3
    assert (run / f"checkpoint-{best}").is_dir()


def test_a_continued_adapter_starts_where_the_other_ended(train: Train, smollm2_gguf: Path) -> None:
    from safetensors.numpy import load_file

    before = load_file(train("lora_sft") / "adapter_model.safetensors")
    settings = special_settings("continue_adapter", train, smollm2_gguf)
    after = load_file(train("continue_adapter", **settings) / "adapter_model.safetensors")
    far = max(float(abs(after[name] - before[name]).max()) for name in before)
    assert before.keys() == after.keys()
    assert 0 < far < 1e-2, "a few small steps away from the first adapter, not another start"


def test_placeholders_of_an_example_are_filled(train: Train) -> None:
    events = [
        json.loads(line) for line in (train("lora_sft") / "events.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    (data,) = (event for event in events if event["kind"] == "data")
    found = {dataset["name"]: dataset["placeholders"] for dataset in data["datasets"]}
    assert found == {"identity": {}, "alpaca_en_demo": {}}, "names of places left open, and how often"


def test_the_quantized_example_says_that_it_needs_a_gpu(train: Train) -> None:
    with pytest.raises(UserError) as told:
        train("qlora")
    assert "quantization_bit: 4 needs a GPU; this run is on the CPU." in str(told.value)
    assert "LoRA on a bf16 base works here" in str(told.value)


def test_the_chat_example_answers_piped_questions(train: Train) -> None:
    adapter = train("lora_sft")
    base = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    given = [f"model_name_or_path={base}", f"adapter_name_or_path={adapter}", "max_new_tokens=8"]
    done = subprocess.run(
        [sys.executable, "-m", "tunesmith", "chat", str(EXAMPLES["chat"]), *given],
        input="Who are you?\n你是谁？\n", capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2, "one line for each question"


def test_the_predict_example_answers_with_and_without_the_adapter(train: Train, tmp_path: Path) -> None:
    from tunesmith.cli.main import main

    adapter = train("lora_sft")
    base = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    given = [f"model_name_or_path={base}", f"adapter_name_or_path={adapter}", f"dataset_dir={ROOT / 'data'}"]
    small = ["max_samples=3", "max_new_tokens=4", "cutoff_len=96", f"output_dir={tmp_path / 'predict'}"]
    assert main(["train", str(EXAMPLES["predict"]), *given, *small]) == 0
    told = json.loads((tmp_path / "predict" / "all_results.json").read_text(encoding="utf-8"))
    assert told["predict_answered"] == 6 and {"eval_loss", "predict_rouge-l", "predict_base_rouge-l"} <= told.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_resolve_without_a_word_of_complaint(name: str) -> None:
    """No key is noted or without effect, and the resolved file means the same job."""
    resolved = load_job([EXAMPLES[name]], {}, verb="chat" if name in TALKED_TO else "train")
    assert resolved.notes == ()


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_tell_how_they_are_run(name: str) -> None:
    text = EXAMPLES[name].read_text(encoding="utf-8")
    assert f"examples/{name}.yaml" in text.partition("\nmodel_name_or_path")[0]


def points(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
