"""The memory estimate against counted parameters and against what a real step allocates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig

from tunesmith.config.adapter import AdapterConfig
from tunesmith.config.model import ModelConfig
from tunesmith.config.optimizer import OptimizerConfig
from tunesmith.models.adapters import apply_tuning, count_parameters
from tunesmith.models.attention import ATTENTION_NAME, register
from tunesmith.models.estimate import MemoryEstimate, Rows, estimate_training, gradient_checkpointing_needed
from tunesmith.models.norms import use_lean_norms
from tunesmith.models.precision import Precision

TinyModel = Callable[..., Path]
BF16 = Precision(torch.bfloat16, torch.float32, "")
PURE = Precision(torch.bfloat16, torch.bfloat16, "")


def qwen3(layers: int = 18) -> PreTrainedConfig:
    """150M parameters, half of them a 152k vocabulary."""
    return AutoConfig.for_model(
        "qwen3", vocab_size=151936, hidden_size=512, num_hidden_layers=layers, num_attention_heads=8,
        num_key_value_heads=4, head_dim=64, intermediate_size=2048, tie_word_embeddings=True,
    )  # fmt: skip


def estimate(config: PreTrainedConfig, precision: Precision = BF16, **changes: object) -> MemoryEstimate:
    model = ModelConfig(**{k: v for k, v in changes.items() if k in ModelConfig.__slots__})
    adapter = AdapterConfig(**{k: v for k, v in changes.items() if k in AdapterConfig.__slots__})
    optimizer = OptimizerConfig(**{k: v for k, v in changes.items() if k in OptimizerConfig.__slots__})
    checkpointing = bool(changes.get("checkpointing"))
    return estimate_training(config, model, adapter, optimizer, precision, Rows(4, 128), checkpointing=checkpointing)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lora_rank": 3, "lora_target": ("q_proj", "v_proj")},
        {"use_dora": True},
        {"additional_target": ("norm",)},
        {"finetuning_type": "freeze", "freeze_trainable_layers": 1, "freeze_extra_modules": ("norm",)},
        {"finetuning_type": "full"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_parameters_are_counted_as_they_will_be(
    tiny_model_dir: TinyModel, kind: str, settings: dict[str, object]
) -> None:
    folder = tiny_model_dir(kind)
    real = apply_tuning(AutoModelForCausalLM.from_pretrained(folder), AdapterConfig(**settings), ModelConfig())
    assert estimate(AutoConfig.from_pretrained(folder), **settings).parameters == count_parameters(real)


def test_parts_are_bytes_of_what_they_name() -> None:
    full = estimate(qwen3(), finetuning_type="full")
    count = 148_591_360
    assert full.parameters.total == full.parameters.trainable == count
    assert full.weights == 2 * count
    assert full.gradients == (2 + 4) * count  # bf16 from backward, float32 at the masters
    assert full.optimizer == (4 + 8) * count  # masters and Adam's two moments
    assert estimate(qwen3(), PURE, finetuning_type="full").optimizer == 4 * count
    assert estimate(qwen3(), finetuning_type="full", optim="adamw_8bit").optimizer == (4 + 2) * count
    assert full.total == sum(full.parts.values())


def test_quantized_weights_take_what_their_bits_take() -> None:
    plain, four = estimate(qwen3()), estimate(qwen3(), quantization_bit=4)
    linear = 148_591_360 - 77_791_232
    assert plain.weights - four.weights == pytest.approx(1.4375 * linear, rel=0.01)


def test_activations_are_near_what_autograd_keeps(tiny_model_dir: TinyModel) -> None:
    """Counted on a real forward: every distinct storage saved for the backward pass but the weights."""
    register()
    config = qwen3(layers=4)
    config.vocab_size = 64
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation=ATTENTION_NAME)
    use_lean_norms(model)
    tuned = apply_tuning(model, AdapterConfig(), ModelConfig()).to(torch.bfloat16).train()  # as in training
    weights = {parameter.untyped_storage().data_ptr() for parameter in tuned.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    rows = Rows(4, 128)
    borders = torch.arange(0, rows.tokens + 1, rows.length, dtype=torch.int32)
    ids = torch.randint(0, 64, (1, rows.tokens))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        tuned.get_base_model().get_decoder()(input_ids=ids, use_cache=False, cu_seq_lens_q=borders)
    real = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    told = estimate_training(config, ModelConfig(), AdapterConfig(), OptimizerConfig(), BF16, rows).activations
    assert told == pytest.approx(real, rel=0.25)


def test_checkpointing_is_asked_for_only_where_memory_is_short() -> None:
    plain = estimate(qwen3())
    recomputed = estimate(qwen3(), checkpointing=True)
    assert recomputed.activations < plain.activations / 4
    assert recomputed.weights == plain.weights
    assert not gradient_checkpointing_needed(plain, 16 << 30)
    assert gradient_checkpointing_needed(plain, plain.total)
