"""RMSNorm that keeps less gives what the model's own gives, forward and backward, and keeps less."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from tunesmith.models.norms import LeanRMSNorm, use_lean_norms

TinyModel = Callable[..., Path]


def loaded(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    chance = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "norm" in name:  # at one, a forgotten weight would not show
            parameter.data = (1 + torch.randn(parameter.shape, generator=chance) / 4).to(dtype)
    return model


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "mistral", "qwen2"])
def test_a_model_scores_and_learns_the_same(tiny_model_dir: TinyModel, architecture: str) -> None:
    folder = tiny_model_dir(architecture)
    ids = torch.tensor([[5, 3, 9, 11, 2, 7]])
    for dtype, close in ((torch.float32, 1e-5), (torch.bfloat16, 2e-2)):
        own, lean = loaded(folder, dtype), loaded(folder, dtype)
        use_lean_norms(lean)
        layers = [layer for layer in lean.modules() if "RMSNorm" in type(layer).__name__]
        assert layers
        assert all(isinstance(layer, LeanRMSNorm) for layer in layers)
        assert lean.state_dict().keys() == own.state_dict().keys()
        first, second = (model(input_ids=ids, labels=ids) for model in (own, lean))
        assert torch.equal(first.logits, second.logits)
        first.loss.backward()
        second.loss.backward()
        for (name, ours), theirs in zip(lean.named_parameters(), own.parameters(), strict=True):
            gap = (ours.grad - theirs.grad).float().norm() / theirs.grad.float().norm()
            assert gap < close, name


def test_norms_of_another_kind_are_left_alone(tiny_model_dir: TinyModel) -> None:
    """Gemma's weights are added to one."""
    model = loaded(tiny_model_dir("gemma2"), torch.float32)
    use_lean_norms(model)
    assert not [layer for layer in model.modules() if isinstance(layer, LeanRMSNorm)]


def test_a_norm_that_rounds_at_another_place_is_left_alone() -> None:
    """GPT-OSS keeps its weights in float32 and comes back to the input's dtype at the very end."""

    class OtherRMSNorm(LeanRMSNorm):
        def forward(self, hidden: Tensor) -> Tensor:
            wide = hidden.float()
            return (self.weight * wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(hidden.dtype)

    class NeedsMoreRMSNorm(LeanRMSNorm):
        def forward(self, hidden: Tensor, gate: Tensor) -> Tensor:  # type: ignore[override]
            return hidden * gate

    weight = torch.nn.Parameter(torch.rand(64))
    model = torch.nn.Sequential(OtherRMSNorm(weight, 1e-6), NeedsMoreRMSNorm(weight, 1e-6))
    use_lean_norms(model)
    assert [type(layer) for layer in model] == [OtherRMSNorm, NeedsMoreRMSNorm]


def test_what_is_kept_for_the_backward_pass_is_the_input_alone() -> None:
    layer = LeanRMSNorm(torch.nn.Parameter(torch.ones(64, dtype=torch.bfloat16), requires_grad=False), 1e-6)
    hidden = torch.randn(32, 64, dtype=torch.bfloat16, requires_grad=True)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        layer(hidden)
    of_tokens = [tensor for tensor in kept if tensor.shape[:1] == (32,)]
    assert sorted(tensor.untyped_storage().nbytes() for tensor in of_tokens) == [32 * 4, 32 * 64 * 2]
