"""What must not change a run: how a step is split, whether rows are packed, whether it was killed and resumed."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.training.conftest import losses, start, state, train

Make = Callable[..., dict[str, Any]]


def adapter(run: Path) -> dict[str, Any]:
    return load_file(run / "adapter_model.safetensors")


def test_it_learns(settings: Make) -> None:
    found = losses(train(settings(num_train_epochs=6.0, learning_rate=2e-2)))
    assert sum(found[-5:]) / 5 < 0.5 * found[0]


def test_the_same_seed_gives_the_same_run_bit_for_bit(settings: Make, tmp_path: Path) -> None:
    first = train(settings(output_dir=str(tmp_path / "a")))
    second = train(settings(output_dir=str(tmp_path / "b")))
    assert losses(first) == losses(second)
    assert all(value.equal(adapter(second)[name]) for name, value in adapter(first).items())


@pytest.mark.parametrize(("batch", "accumulation"), [(1, 8), (2, 4), (8, 1)])
def test_any_split_of_a_step_gives_the_same_losses(
    settings: Make, tmp_path: Path, batch: int, accumulation: int
) -> None:
    """Rows differ in length, so a mean of micro-batch means would not."""
    whole = train(settings(per_device_train_batch_size=8, lora_dropout=0.0, output_dir=str(tmp_path / "whole")))
    split = train(
        settings(
            per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation, lora_dropout=0.0,
            output_dir=str(tmp_path / "split"),
        )
    )  # fmt: skip
    assert losses(split) == pytest.approx(losses(whole), rel=2e-5)


def test_packed_rows_give_the_loss_of_rows_alone(settings: Make, tmp_path: Path) -> None:
    """All forty rows in one step: neat packing lays them into few rows, the loss is the same."""
    shared = {"lora_dropout": 0.0, "max_steps": 3, "lr_scheduler_type": "constant"}
    alone = train(settings(per_device_train_batch_size=40, output_dir=str(tmp_path / "alone"), **shared))
    packed = train(
        settings(
            per_device_train_batch_size=40,
            neat_packing=True,
            packing=True,
            output_dir=str(tmp_path / "packed"),
            **shared,
        )
    )
    assert losses(packed) == pytest.approx(losses(alone), rel=2e-5)


def test_gradient_checkpointing_changes_no_loss(settings: Make, tmp_path: Path) -> None:
    plain = train(settings(output_dir=str(tmp_path / "plain"), gradient_checkpointing=False))
    saved = train(settings(output_dir=str(tmp_path / "saved"), gradient_checkpointing=True))
    assert losses(saved) == pytest.approx(losses(plain), rel=1e-6)


@pytest.mark.parametrize("method", ["lora", "freeze", "full"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(
    settings: Make, tmp_path: Path, method: str, precision: str
) -> None:
    shared = {
        "finetuning_type": method, "precision": precision, "num_train_epochs": 3.0,
        "save_steps": 4, "save_strategy": "steps",
        "freeze_trainable_layers": 1 if method == "freeze" else None,
        "lora_dropout": 0.1 if method == "lora" else None,
    }  # fmt: skip
    whole = train(settings(output_dir=str(tmp_path / "whole"), **shared))
    cut = tmp_path / "cut"
    process = start(settings(output_dir=str(cut), **shared))
    deadline = time.monotonic() + 120
    while not (cut / "checkpoint-8" / "COMPLETE").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.stdout and process.stdout.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()

    resumed = train(settings(output_dir=str(cut), resume_from_checkpoint=True, **shared))

    assert resumed == cut
    assert losses(cut) == losses(whole)
    name = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    mine, theirs = load_file(cut / name), load_file(whole / name)
    assert all(value.equal(theirs[key]) for key, value in mine.items())
    assert state(cut)["attempt"] == 2
    assert state(cut)["status"] == "finished"


def test_streaming_resumes_where_it_stood(settings: Make, tmp_path: Path) -> None:
    shared = {"streaming": True, "max_steps": 14, "save_steps": 6, "save_strategy": "steps", "num_train_epochs": None}
    whole = train(settings(output_dir=str(tmp_path / "whole"), **shared))
    cut = tmp_path / "cut"
    train(settings(output_dir=str(cut), **{**shared, "max_steps": 6, "lr_scheduler_type": "constant"}))
    again = train(
        settings(output_dir=str(tmp_path / "again"), resume_from_checkpoint=str(whole / "checkpoint-6"), **shared)
    )
    assert losses(again) == losses(whole)[6:]
    assert json.loads((cut / "checkpoint-6" / "training_state.json").read_text(encoding="utf-8"))["progress"][
        "position"
    ]


@pytest.mark.parametrize("architecture", ["qwen3", "gemma3_text", "phi3"])
def test_loss_of_the_first_step_is_transformers_own(
    settings: Make, tiny_model_dir: Callable[..., Path], architecture: str
) -> None:
    """An independent computation: padded batch, labels, the model's own loss."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tiny_model_dir(architecture)
    run = train(
        settings(model_name_or_path=str(folder), max_steps=1, per_device_train_batch_size=6, disable_shuffling=True)
    )
    samples = [json.loads(line) for line in (run / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert samples[0]["text"].startswith(
        "<|im_start|>user\nWhat is 0 plus 0?<|im_end|>\n<|im_start|>assistant\n0 plus 0 is 0."
    )

    from tunesmith.config.load import load_job
    from tunesmith.training.report import Speaker
    from tunesmith.training.session import prepare_ground

    job = load_job([], settings(model_name_or_path=str(folder), disable_shuffling=True), verb="train").job
    store = prepare_ground(job, Speaker(None)).prepared.train
    assert store is not None
    width = int(store.lengths[:6].max())
    ids, labels = torch.zeros(6, width, dtype=torch.long), torch.full((6, width), -100)
    mask = torch.zeros(6, width, dtype=torch.long)
    for row in range(6):
        length = int(store.lengths[row])
        ids[row, :length] = torch.tensor(store.ids(row))
        mask[row, :length] = 1
        labels[row, :length] = torch.where(torch.tensor(store.weights(row)) != 0, ids[row, :length], -100)
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = float(model(input_ids=ids, attention_mask=mask, labels=labels).loss)
    assert losses(run)[0] == pytest.approx(expected, rel=1e-4)


def test_what_was_counted_before_a_stop_is_logged_after_it(settings: Make, tmp_path: Path) -> None:
    shared = {"logging_steps": 5, "save_strategy": "steps", "save_steps": 3}
    whole = train(settings(output_dir=str(tmp_path / "whole"), **shared))
    again = train(
        settings(output_dir=str(tmp_path / "again"), resume_from_checkpoint=str(whole / "checkpoint-3"), **shared)
    )
    assert losses(again) == losses(whole)
    mean = [
        json.loads((run / "train_results.json").read_text(encoding="utf-8"))["train_loss"] for run in (whole, again)
    ]
    assert mean[0] == mean[1] == pytest.approx(sum(losses(whole)) / 2)


def test_noise_of_neftune_is_that_of_the_step_after_a_resume(settings: Make, tmp_path: Path) -> None:
    shared = {"neftune_noise_alpha": 5.0, "save_strategy": "steps", "save_steps": 4}
    whole = train(settings(output_dir=str(tmp_path / "whole"), **shared))
    again = train(
        settings(output_dir=str(tmp_path / "again"), resume_from_checkpoint=str(whole / "checkpoint-4"), **shared)
    )
    assert losses(again) == losses(whole)[4:]
