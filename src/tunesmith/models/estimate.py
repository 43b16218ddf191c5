"""Memory of a training step by parts, from a configuration alone: no weight is read and nothing is allocated.

A model of what this program does, not of training at large: weights in the compute dtype, masters and optimizer state
for what is trained, rows without padding, logits in chunks. Activations are what autograd keeps of one decoder layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tunesmith.config.adapter import AdapterConfig
from tunesmith.config.model import ModelConfig
from tunesmith.config.optimizer import OptimizerConfig
from tunesmith.models.adapters import ParameterCount, linear_names
from tunesmith.models.freeze import train_layers
from tunesmith.models.precision import Precision
from tunesmith.models.score import CPU_LOGIT_BYTES, GPU_LOGIT_BYTES

# Interpreter, torch and transformers on a CPU (resident, measured); CUDA adds its context.
_RUNTIME = {"cpu": 450 << 20, "cuda": 900 << 20}
_HEADROOM = 0.9
"""Share of the available memory that a plan may fill: allocators fragment, and other programs live too."""
_PLAIN_ATTENTION_BYTES = 8 << 20  # a row's probabilities up to here are kept for the backward pass (attention.py)


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes at the peak of a training step, by what they are for."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    runtime: int
    parameters: ParameterCount
    checkpointing: bool

    @property
    def total(self) -> int:
        return sum(self.parts.values())

    @property
    def parts(self) -> Mapping[str, int]:
        return {item.name: getattr(self, item.name) for item in fields(self)[:6]}


@dataclass(frozen=True, slots=True)
class Rows:
    """A micro-batch: count rows of length tokens each."""

    count: int
    length: int

    @property
    def tokens(self) -> int:
        return self.count * self.length


def estimate_training(
    config: PreTrainedConfig,
    model: ModelConfig,
    adapter: AdapterConfig,
    optimizer: OptimizerConfig,
    precision: Precision,
    rows: Rows,
    *,
    device: str = "cpu",
    checkpointing: bool = False,
) -> MemoryEstimate:
    """What one step over micro-batches of `rows` takes on a device of that kind (`cpu`, `cuda`)."""
    empty = _empty(config)
    parameters = trained_parameters(empty, adapter)
    compute, master = precision.compute.itemsize, precision.master.itemsize
    apart = precision.compute != precision.master
    added = parameters.total - _numel(empty)
    head_trains = adapter.finetuning_type == "full"
    return MemoryEstimate(
        weights=_weight_bytes(empty, model, compute) + added * compute,
        gradients=parameters.trainable * (compute + (master if apart else 0)),
        optimizer=parameters.trainable * ((master if apart else 0) + _state_bytes(optimizer, master)),
        activations=_activations(config.get_text_config(), rows, compute, checkpointing),
        logits=_logits(config.get_text_config(), rows, compute, device, head_trains),
        runtime=_RUNTIME.get(device, _RUNTIME["cuda"]),
        parameters=parameters,
        checkpointing=checkpointing,
    )


def gradient_checkpointing_needed(estimate: MemoryEstimate, available: int) -> bool:
    """Whether a step without checkpointing (which the estimate must be of) would not fit into `available` bytes."""
    assert not estimate.checkpointing, "the question is about a step without checkpointing"
    return estimate.total > available * _HEADROOM


def trained_parameters(empty: PreTrainedModel, adapter: AdapterConfig) -> ParameterCount:
    """Trained and all parameters under the adapter's settings; `empty` may be on the meta device."""
    total = _numel(empty)
    if adapter.finetuning_type == "full":
        return ParameterCount(total, total)
    if adapter.finetuning_type == "freeze":
        empty.requires_grad_(False)
        train_layers(empty, adapter)
        return ParameterCount(sum(p.numel() for p in empty.parameters() if p.requires_grad), total)
    added = _lora_parameters(empty, adapter)
    return ParameterCount(added, total + added)


def _lora_parameters(empty: PreTrainedModel, adapter: AdapterConfig) -> int:
    targets = linear_names(empty) if "all" in adapter.lora_target else list(adapter.lora_target)
    added = 0
    for name, module in empty.named_modules():
        if isinstance(module, nn.Linear | Conv1D | nn.Embedding) and _ends(name, targets):
            wide, high = module.weight.shape
            added += adapter.lora_rank * (wide + high) + (wide if adapter.use_dora else 0)
        if _ends(name, adapter.additional_target):
            added += sum(parameter.numel() for parameter in module.parameters())
    return added


def _ends(name: str, targets: list[str] | tuple[str, ...]) -> bool:
    return any(name == target or name.endswith("." + target) for target in targets)


def _weight_bytes(empty: PreTrainedModel, model: ModelConfig, compute: int) -> int:
    if model.quantization_bit is None:
        return _numel(empty) * compute
    head = empty.get_output_embeddings()
    linear = sum(m.weight.numel() for m in empty.modules() if isinstance(m, nn.Linear) and m is not head)
    scales = 0.0625 if model.quantization_bit == 4 else 0.01  # bytes a weight: one scale for a block of weights
    return int(linear * (model.quantization_bit / 8 + scales)) + (_numel(empty) - linear) * compute


def _state_bytes(optimizer: OptimizerConfig, master: int) -> int:
    """Bytes of optimizer state a trained parameter."""
    if optimizer.optim == "sgd":
        return 0
    if "8bit" in optimizer.optim:
        return 2
    return 2 * master


def _activations(config: PreTrainedConfig, rows: Rows, size: int, checkpointing: bool) -> int:
    """What autograd keeps between forward and backward. size: bytes of the compute dtype."""
    hidden, layers, heads = config.hidden_size, config.num_hidden_layers, config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or hidden // heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    linear_inputs = 2 * hidden + heads * head_dim
    attention = (heads + 2 * groups) * head_dim * 2  # q, k, v before and after rotation
    probabilities = heads * rows.length
    if probabilities * rows.length * size > _PLAIN_ATTENTION_BYTES:
        probabilities = 0  # the fused kernel recomputes them
    norms = 2 * hidden * size  # their inputs (models/norms.py)
    if config.model_type.startswith("gemma"):  # norms of another kind, and four of them
        norms = 4 * (2 * 4 * hidden + hidden * size)
    layer = (linear_inputs + attention + probabilities + 4 * inner) * size + norms
    ends = rows.tokens * hidden * (size + 8)
    if checkpointing:
        return rows.tokens * (layers * hidden * size + layer) + ends
    return rows.tokens * layers * layer + ends


def _logits(config: PreTrainedConfig, rows: Rows, size: int, device: str, head_trains: bool) -> int:
    """A block of logits in fp32 and in the compute dtype, the fp32 gradient of the hidden states, a trained head's."""
    budget = CPU_LOGIT_BYTES if device == "cpu" else GPU_LOGIT_BYTES
    block = 2 * min(rows.tokens * config.vocab_size * 4, budget)
    hidden = rows.tokens * config.hidden_size * 8
    return block + hidden + (config.vocab_size * config.hidden_size * size if head_trains else 0)


def _numel(empty: PreTrainedModel) -> int:
    return sum(parameter.numel() for parameter in empty.parameters())


def _empty(config: PreTrainedConfig) -> PreTrainedModel:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)
