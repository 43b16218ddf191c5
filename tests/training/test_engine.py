"""Masters of what is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tunesmith.models.norms import upcast_norms
from tunesmith.training.engine import make_masters


@pytest.mark.parametrize("master", [torch.float32, torch.bfloat16])
def test_norms_in_float32_stay_so_when_they_are_trained(
    tiny_model_dir: Callable[..., Path], master: torch.dtype
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir("qwen3"), dtype=torch.bfloat16)
    upcast_norms(model)
    model.lm_head.float()  # as a trained adapter comes
    masters = make_masters(model, torch.bfloat16, master)
    assert len(masters) == len(list(model.parameters()))
    for each in masters:
        norm = "norm" in each.name
        assert each.live.dtype == (torch.float32 if norm else torch.bfloat16), each.name
        assert each.weight.dtype == (torch.float32 if norm else master), each.name
        assert (each.weight is each.live) == (norm or master == torch.bfloat16), each.name
    with torch.no_grad():
        assert model(input_ids=torch.tensor([[5, 3]])).logits.dtype == torch.bfloat16
