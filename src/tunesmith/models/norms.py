"""Normalization weights in float32 in a model that computes in half precision (`upcast_layernorm`)."""

from __future__ import annotations

from torch import nn

_MARK = "stays_in_float32"


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
