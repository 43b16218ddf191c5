"""What a job computes in, on machines that can and can't."""

from __future__ import annotations

import pytest
import torch

from tunesmith.config.training import TrainingConfig
from tunesmith.models.precision import DeviceFacts, choose_precision, device_facts, requested_precision

OLD_CPU = DeviceFacts("cpu", "this CPU", bf16=False, fp16=False)
NEW_CPU = DeviceFacts("cpu", "this CPU", bf16=True, fp16=False)
V100 = DeviceFacts("cuda", "Tesla V100", bf16=False, fp16=True)
H100 = DeviceFacts("cuda", "H100", bf16=True, fp16=True)
BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32


@pytest.mark.parametrize(
    ("asked", "device", "compute", "master"),
    [
        ("auto", OLD_CPU, FP32, FP32),
        ("auto", NEW_CPU, BF16, FP32),
        ("auto", V100, FP16, FP32),
        ("auto", H100, BF16, FP32),
        ("bf16", V100, FP16, FP32),  # the nearest that works
        ("bf16", OLD_CPU, FP32, FP32),
        ("fp16", NEW_CPU, BF16, FP32),
        ("fp16", H100, FP16, FP32),
        ("fp32", H100, FP32, FP32),
        ("pure_bf16", H100, BF16, BF16),
        ("pure_bf16", OLD_CPU, FP32, FP32),
    ],
)
def test_the_wish_or_the_nearest_that_works(
    asked: str, device: DeviceFacts, compute: torch.dtype, master: torch.dtype
) -> None:
    precision = choose_precision(asked, device)  # type: ignore[arg-type]
    assert (precision.compute, precision.master) == (compute, master)


def test_the_note_says_what_was_not_possible() -> None:
    note = choose_precision("bf16", V100).note
    assert "fp16" in note and "Tesla V100 has no native bf16" in note
    assert "as asked" in choose_precision("fp32", H100).note


@pytest.mark.parametrize(
    ("settings", "wish"),
    [
        ({}, "auto"),
        ({"bf16": True}, "bf16"),
        ({"fp16": True}, "fp16"),
        ({"pure_bf16": True, "bf16": True}, "pure_bf16"),
        ({"precision": "fp32"}, "fp32"),
    ],
)
def test_old_switches_mean_the_same(settings: dict[str, object], wish: str) -> None:
    assert requested_precision(TrainingConfig(**settings)) == wish


def test_this_machine_computes_in_what_is_chosen() -> None:
    precision = choose_precision("auto", device_facts(torch.device("cpu")))
    square = torch.ones(32, 32, dtype=precision.compute)
    assert float((square @ square).sum()) == 32**3
