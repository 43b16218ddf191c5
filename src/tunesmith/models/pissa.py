"""PiSSA (https://arxiv.org/abs/2404.02948): the largest singular vectors of the base become the adapter and leave it.

What is left in memory is W - s·B0·A0. An adapter for the unchanged W therefore adds s·(B·A - B0·A0): twice the rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor

_ADAPTER = "default"


def remember_start(model: PeftModel) -> None:
    """Keep A0 and B0 beside each layer, out of the state dict: `as_plain_lora` needs them at every save."""
    for module in model.modules():
        if isinstance(module, LoraLayer) and _ADAPTER in module.lora_A:
            module.register_buffer("start_A", module.lora_A[_ADAPTER].weight.detach().clone(), persistent=False)
            module.register_buffer("start_B", module.lora_B[_ADAPTER].weight.detach().clone(), persistent=False)


def is_pissa(config: object) -> bool:
    """Whether an adapter of this configuration takes its start out of the base."""
    return str(getattr(config, "init_lora_weights", None)).startswith("pissa")


@contextmanager
def at_start(model: PeftModel) -> Iterator[None]:
    """Within this context the adapter is what it was before training: with what is left of the base, the base."""
    kept = []
    for module in model.modules():
        if isinstance(module, LoraLayer) and hasattr(module, "start_A"):
            for layers, start in ((module.lora_A, module.start_A), (module.lora_B, module.start_B)):
                weight = layers[_ADAPTER].weight
                kept.append((weight, weight.data))
                weight.data = start.to(weight)
    try:
        yield
    finally:
        for weight, trained in kept:
            weight.data = trained


def as_plain_lora(
    model: PeftModel, weights: Mapping[str, Tensor], config: LoraConfig
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The adapter for the unchanged base: its weights, and what changes in its configuration.

    weights: as in an adapter file (`….lora_A.weight` [r, in], `….lora_B.weight` [out, r]), of a model that
    `remember_start` has seen.
    """
    plain = dict(weights)
    for name, module in model.named_modules():
        if not hasattr(module, "start_A"):
            continue
        a, b = f"{name}.lora_A.weight", f"{name}.lora_B.weight"
        plain[a] = torch.cat([weights[a], module.start_A.to(weights[a])], dim=0)
        plain[b] = torch.cat([weights[b], -module.start_B.to(weights[b])], dim=1)
    scale = config.lora_alpha / (math.sqrt(config.r) if config.use_rslora else config.r)
    changes = {"r": 2 * config.r, "lora_alpha": scale * 2 * config.r, "use_rslora": False, "init_lora_weights": True}
    return plain, changes
