"""Which learning rate and weight decay each trained parameter gets: a pure function of names and shapes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from tunesmith.config.adapter import AdapterConfig
from tunesmith.config.optimizer import OptimizerConfig


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Names of trained parameters, as in `model.named_parameters()`, that share a learning rate and a weight decay."""

    names: tuple[str, ...]
    learning_rate: float
    weight_decay: float


def parameter_groups(model: nn.Module, optimizer: OptimizerConfig, adapter: AdapterConfig) -> list[ParameterGroup]:
    """Groups of all trained parameters, each in exactly one. Vectors (norms, biases) are never decayed.

    LoRA+ (https://arxiv.org/abs/2402.12354): B matrices and vectors learn `loraplus_lr_ratio` times faster, adapters of
    embeddings at their own rate.
    """
    grouped: dict[tuple[float, float], list[str]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            vector = parameter.ndim < 2
            key = (_learning_rate(name, vector, optimizer, adapter), 0.0 if vector else optimizer.weight_decay)
            grouped.setdefault(key, []).append(name)
    return [ParameterGroup(tuple(names), rate, decay) for (rate, decay), names in grouped.items()]


def _learning_rate(name: str, vector: bool, optimizer: OptimizerConfig, adapter: AdapterConfig) -> float:
    if adapter.loraplus_lr_ratio is None or adapter.finetuning_type != "lora":
        return optimizer.learning_rate
    if "lora_embedding_B" in name:
        return adapter.loraplus_lr_embedding
    if "lora_B" in name or vector:
        return optimizer.learning_rate * adapter.loraplus_lr_ratio
    return optimizer.learning_rate
