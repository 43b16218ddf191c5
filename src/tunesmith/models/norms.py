"""Normalization layers: RMSNorm that keeps less for the backward pass, and weights in float32 (`upcast_layernorm`)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_MARK = "stays_in_float32"
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)  # of what a layer may be given


class LeanRMSNorm(nn.Module):
    """RMSNorm (Zhang & Sennrich, 2019) as llama has it: x / sqrt(mean(x²) + eps) in float32, rounded, times the weight.

    Autograd keeps the input in its own dtype, where the layers of transformers keep a float32 copy of it.
    """

    def __init__(self, weight: nn.Parameter, eps: float) -> None:
        super().__init__()
        self.weight = weight
        self.eps = eps

    def forward(self, hidden: Tensor) -> Tensor:
        """hidden: [..., D] → [..., D] in the wider dtype of hidden and weight."""
        normed: Tensor = _RMSNorm.apply(hidden, self.weight, self.eps)
        return normed

    def extra_repr(self) -> str:
        return f"{tuple(self.weight.shape)}, eps={self.eps}"


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = hidden.float()
        inverse = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(hidden, weight, inverse)
        return weight * (wide * inverse).to(hidden.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (grad,) = grads
        hidden, weight, inverse = ctx.saved_tensors
        normed = hidden.float() * inverse
        hidden_grad = weight_grad = None
        if ctx.needs_input_grad[1]:
            weight_grad = (grad * normed.to(hidden.dtype)).flatten(0, -2).sum(dim=0).to(weight.dtype)
        if ctx.needs_input_grad[0]:
            pulled = (grad * weight).float()
            along = (pulled * normed).mean(-1, keepdim=True)
            hidden_grad = pulled.sub_(normed.mul_(along)).mul_(inverse).to(hidden.dtype)
        return hidden_grad, weight_grad, None


def use_lean_norms(model: nn.Module) -> None:
    """Put `LeanRMSNorm` where a layer of the model computes the same.

    Architectures differ in their norms (Gemma's weight is added to one), so no name is trusted: each layer is asked.
    """
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer).__name__.endswith("RMSNorm") and (lean := _lean(layer)) is not None:
                setattr(parent, name, lean)


def _lean(layer: nn.Module) -> LeanRMSNorm | None:
    """The same layer, keeping less; None where its outputs would differ in a single bit or in their dtype."""
    parameters = dict(layer.named_parameters())
    eps = getattr(layer, "variance_epsilon", getattr(layer, "eps", None))
    if list(parameters) != ["weight"] or not isinstance(eps, float) or parameters["weight"].is_meta:
        return None
    weight = parameters["weight"]
    lean = LeanRMSNorm(weight, eps).train(layer.training)
    chance = torch.Generator().manual_seed(0)
    probe = torch.randn(4, weight.shape[-1], generator=chance).to(weight.device)
    with torch.no_grad():
        return lean if all(_agree(lean, layer, probe.to(dtype)) for dtype in _DTYPES) else None


def _agree(lean: LeanRMSNorm, layer: nn.Module, probe: Tensor) -> bool:
    try:
        theirs = layer(probe)
    except Exception:  # it takes something else, whatever that is: not ours to replace
        return False
    ours = lean(probe)
    return isinstance(theirs, Tensor) and ours.dtype == theirs.dtype and torch.equal(ours, theirs)


def upcast_norms(model: nn.Module) -> None:
    """Normalization weights in float32; what comes out keeps the dtype of what went in."""
    for module in model.modules():
        if "norm" in type(module).__name__.lower():
            module.float()
            module.register_forward_hook(lambda _, inputs, output: output.to(inputs[0].dtype))
            setattr(module, _MARK, True)


def kept_in_float32(model: nn.Module) -> set[nn.Parameter]:
    """The parameters that `upcast_norms` has put into float32, to be left there."""
    return {each for module in model.modules() if hasattr(module, _MARK) for each in module.parameters()}
