"""A failed run offers settings that load and that mend what failed."""

import pytest

from tunesmith.config.load import load_job
from tunesmith.web.remedies import remedies

CONFIG = {
    "model_name_or_path": "a/b", "dataset": ["x"], "per_device_train_batch_size": 3, "gradient_accumulation_steps": 4,
    "gradient_checkpointing": "auto", "cutoff_len": 2048, "finetuning_type": "lora", "learning_rate": 3e-4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("message", "whats"),
    [
        (
            "The memory of the device is not enough for this run (CUDA out of memory).",
            ["smaller_batches", "recompute_activations", "shorter_rows", "four_bit_base"],
        ),
        ("The directory saves/a already holds a run (finished, step 9).", ["another_folder"]),
        ("The gradient is not a number at step 12.", ["lower_learning_rate"]),
        ("There is no data set called x.", []),
    ],
)
def test_each_error_has_its_remedies(message: str, whats: list[str]) -> None:
    found = remedies(message, CONFIG)
    assert [remedy.what for remedy in found] == whats
    for remedy in found:
        settings = {key: value for key, value in {**CONFIG, **remedy.settings}.items() if value is not None}
        load_job([], settings, verb="train")


def test_smaller_batches_keep_the_rows_of_a_step_at_least() -> None:
    (first, *_) = remedies("out of memory", CONFIG)
    rows, steps = first.settings["per_device_train_batch_size"], first.settings["gradient_accumulation_steps"]
    assert rows == 1 and rows * steps == 12


def test_an_evaluation_is_offered_what_its_memory_goes_to() -> None:
    asked = {"model_name_or_path": "a/b", "eval_dataset": ["x"], "do_train": False, "per_device_eval_batch_size": 8}
    found = remedies("The memory is not enough for this evaluation.", {**asked, "finetuning_type": "lora"})
    assert [remedy.settings for remedy in found] == [{"per_device_eval_batch_size": 4}, {"quantization_bit": 4}]


def test_what_is_done_already_is_not_offered() -> None:
    done = CONFIG | {
        "per_device_train_batch_size": 1, "gradient_checkpointing": True, "cutoff_len": 256, "quantization_bit": 4,
    }  # fmt: skip
    assert remedies("out of memory", done) == []
