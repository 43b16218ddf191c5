"""The importance matrix: how strongly each input column of a matrix is driven by real text.

For every linear layer the mean square of its inputs, as llama.cpp's `imatrix` measures it: the K-quants then weigh the
error of a column by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tunesmith.models.gguf.architecture import architecture_for

_WINDOW = 512  # tokens of text seen together, as llama.cpp takes them


@torch.inference_mode()
def importance_matrix(
    model: Any, ids: np.ndarray, config: Mapping[str, Any], *, report: Callable[[int, int], None]
) -> dict[str, Tensor]:
    """GGUF name → float32 [columns], of every linear layer of the model that has a name there.

    ids: int32, the calibration text. report(tokens done, tokens in all). Stacked experts are left out: which of them
    sees a token differs.
    """
    table = architecture_for(config["model_type"])
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    sums: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(_adding(sums, name))
        for layer, module in _linear_layers(causal)
        if (name := table.gguf_name(f"{layer}.weight")) is not None
    ]
    try:
        for start in range(0, len(ids), _WINDOW):
            window = torch.from_numpy(ids[start : start + _WINDOW].astype(np.int64)).to(causal.device)
            causal(input_ids=window[None], use_cache=False)
            report(min(start + _WINDOW, len(ids)), len(ids))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: total / len(ids) for name, total in sums.items()}


def _linear_layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers by the names they have without an adapter."""
    found: list[tuple[str, nn.Module]] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and ".lora_" not in name:
            found.append((name.replace(".base_layer", ""), module))
    return found


def _adding(sums: dict[str, Tensor], name: str) -> Callable[..., None]:
    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        squares = inputs[0].detach().float().square().flatten(0, -2).sum(dim=0).cpu()
        sums[name] = sums[name] + squares if name in sums else squares

    return add
