"""Merging weight by weight against peft's own merge."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import IA3Config, LoHaConfig, LoraConfig, OFTConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tests.export.adapted_models import (
    EVERY_LINEAR,
    EXPERTS,
    MOE,
    adapter_of,
    load,
    merged_by_peft,
    opened,
    same,
    tensors,
    tiny,
    with_adapter,
)
from transformers import AutoConfig, AutoModelForCausalLM

from tunesmith.models.adapter_files import merge, put_on
from tunesmith.models.gguf.materialize import materialize, stream_weights
from tunesmith.models.saving import save_tuned

ARCHITECTURES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("llama", {}, EVERY_LINEAR),
    ("mistral", {}, EVERY_LINEAR),
    ("qwen2", {}, EVERY_LINEAR),
    ("qwen3", {}, EVERY_LINEAR),
    ("gemma3_text", {}, EVERY_LINEAR),
    ("phi3", {}, ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]),
]


@pytest.mark.parametrize(("architecture", "config", "targets"), ARCHITECTURES, ids=lambda value: str(value)[:12])
def test_equals_peft_bit_for_bit(
    architecture: str, config: dict[str, Any], targets: list[str], tiny_model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    base = tiny_model_dir(architecture, **config)
    adapter = adapter_of(base, tmp_path / "adapter", target_modules=targets)
    same(tensors(opened(base, adapter)), merged_by_peft(base, adapter))


LORA: dict[str, dict[str, Any]] = {
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 2, "layers.1.mlp.down_proj": 6}, "alpha_pattern": {"q_proj": 9}},
    "dora": {"use_dora": True},
    "one layer": {"layers_to_transform": [1]},
    "regex": {"target_modules": r".*layers\.0\..*(q|v)_proj"},
    "excluded": {"exclude_modules": ["layers.0.self_attn.q_proj"]},
    "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "embedding with dora": {"target_modules": ["embed_tokens"], "use_dora": True},
    "head": {"target_modules": ["lm_head"]},
    "whole modules": {"modules_to_save": ["embed_tokens", "lm_head", "norm"]},
    "token rows": {"trainable_token_indices": {"embed_tokens": [3, 500, 7]}},
}


@pytest.mark.parametrize("lora", LORA.values(), ids=LORA)
def test_every_kind_of_lora(lora: dict[str, Any], tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = tiny_model_dir("llama")
    lora = {**lora}
    if "trainable_token_indices" in lora:
        lora["trainable_token_indices"] = {"embed_tokens": [3, AutoConfig.from_pretrained(base).vocab_size - 1, 7]}
    adapter = adapter_of(base, tmp_path / "adapter", **lora)
    same(tensors(opened(base, adapter)), merged_by_peft(base, adapter))


@pytest.mark.parametrize("bias", [{"lora_bias": True}, {"bias": "lora_only"}, {"bias": "all"}], ids=str)
def test_biases(bias: dict[str, Any], tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = tiny_model_dir("qwen2", tie_word_embeddings=False)
    adapter = adapter_of(base, tmp_path / "adapter", target_modules=["q_proj", "v_proj"], **bias)
    same(tensors(opened(base, adapter)), merged_by_peft(base, adapter))


@pytest.mark.parametrize("kind", [OFTConfig, LoHaConfig, IA3Config], ids=lambda kind: kind.__name__)
def test_other_adapters_are_merged_by_their_layers(
    kind: Any, tiny_model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    base = tiny_model_dir("qwen2", tie_word_embeddings=False)
    sizes = {OFTConfig: {"oft_block_size": 16}, LoHaConfig: {"r": 4}, IA3Config: {"feedforward_modules": ["down_proj"]}}
    config = kind(task_type="CAUSAL_LM", target_modules=["q_proj", "down_proj"], **sizes[kind])
    adapter = adapter_of(base, tmp_path / "adapter", config)
    same(tensors(opened(base, adapter)), merged_by_peft(base, adapter), exact=False)


@pytest.mark.parametrize(
    ("architecture", "config", "lora"),
    [
        ("qwen3_moe", MOE, EXPERTS),
        ("qwen3_moe", MOE, {"target_modules": [*EVERY_LINEAR, "gate"]}),
        ("mixtral", {"num_local_experts": 4}, EXPERTS),
        ("gpt_oss", {"num_local_experts": 4, "head_dim": 16}, EXPERTS),
    ],
    ids=["qwen3_moe", "qwen3_moe by modules", "mixtral", "gpt_oss"],
)
def test_experts(architecture: str, config: dict[str, Any], lora: dict[str, Any], tmp_path: Path) -> None:
    base = tiny(tmp_path / "base", architecture, **config)
    adapter = adapter_of(base, tmp_path / "adapter", **lora)
    ours = tensors(opened(base, adapter))
    same(ours, merged_by_peft(base, adapter), exact=False)
    assert ours.keys() == load_file(base / "model.safetensors").keys()


def test_experts_that_lie_fused_on_disk(tmp_path: Path) -> None:
    base = tiny(tmp_path / "base", "qwen3_moe", **MOE)
    load(base).save_pretrained(base, save_original_format=False)
    assert "model.layers.0.mlp.experts.gate_up_proj" in load_file(base / "model.safetensors")
    adapter = adapter_of(base, tmp_path / "adapter", **EXPERTS)
    theirs = with_adapter(base, adapter).merge_and_unload()
    theirs.save_pretrained(tmp_path / "merged", save_original_format=False)
    same(tensors(opened(base, adapter)), load_file(tmp_path / "merged" / "model.safetensors"), exact=False)


@pytest.mark.parametrize("dora", [False, True])
def test_weights_that_lie_turned(dora: bool, tmp_path: Path) -> None:
    base = tiny(tmp_path / "base", "gpt2", n_embd=64, n_layer=2, n_head=4, tie_word_embeddings=False)
    adapter = adapter_of(base, tmp_path / "adapter", target_modules=["c_attn", "c_proj"], use_dora=dora)
    same(tensors(opened(base, adapter)), merged_by_peft(base, adapter))


@pytest.mark.parametrize("dora", [False, True])
def test_bfloat16_is_rounded_once(dora: bool, tmp_path: Path) -> None:
    base = tiny(tmp_path / "base", "llama", torch.bfloat16)
    adapter = adapter_of(base, tmp_path / "adapter", target_modules=EVERY_LINEAR, use_dora=dora)
    ours, exact = tensors(opened(base, adapter)), tensors(opened(base, adapter, dtype=torch.float32))
    assert opened(base, adapter).config["dtype"] == "bfloat16"
    for name, tensor in merged_by_peft(base, adapter, torch.bfloat16).items():
        assert ours[name].dtype == torch.bfloat16
        assert torch.equal(ours[name], exact[name].bfloat16())
        torch.testing.assert_close(ours[name], tensor, atol=0, rtol=2**-7)


def test_adapters_one_after_the_other(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = tiny_model_dir("llama")
    first = adapter_of(base, tmp_path / "first", modules_to_save=["lm_head"])
    between = tmp_path / "between"
    with_adapter(base, first).merge_and_unload().save_pretrained(between)
    second = adapter_of(between, tmp_path / "second", use_dora=True, target_modules=["q_proj", "v_proj", "lm_head"])
    same(tensors(opened(base, first, second)), merged_by_peft(between, second))


@pytest.mark.parametrize("start", ["pissa", "pissa_niter_4"])
def test_pissa_that_needs_its_residual(start: str, tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:

    base = tiny_model_dir("llama")
    adapter = adapter_of(base, tmp_path / "adapter", init_lora_weights=start, target_modules=EVERY_LINEAR)
    theirs = merge(load(base), adapter).state_dict()
    source = opened(base, adapter)
    ours = tensors(source)
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, atol=2e-6, rtol=1e-5)
    assert any("PiSSA" in note for note in source.notes) is (start != "pissa")


def test_pissa_saved_as_plain_lora(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = tiny_model_dir("llama")
    adapter = adapter_of(base, tmp_path / "adapter", init_lora_weights="pissa", target_modules=EVERY_LINEAR)
    adapted = put_on(load(base), adapter, trainable=False)
    save_tuned(adapted, base, tmp_path / "plain", plain_lora=True)
    merged = adapted.merge_and_unload().state_dict()
    for name, tensor in tensors(opened(base, tmp_path / "plain")).items():
        torch.testing.assert_close(tensor, merged[name], atol=2e-6, rtol=1e-5)


def test_a_base_in_shards(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = tmp_path / "base"
    load(tiny_model_dir("qwen2")).save_pretrained(base, max_shard_size="60KB")
    assert len(list(base.glob("*.safetensors"))) > 2
    adapter = adapter_of(base, tmp_path / "adapter", target_modules=EVERY_LINEAR)
    same(tensors(opened(base, adapter)), merged_by_peft(base, adapter))


# Large weights come in blocks of rows

IN_BLOCKS: dict[str, dict[str, Any]] = {
    "lora": {"target_modules": [*EVERY_LINEAR, "embed_tokens", "lm_head"]},
    "dora": {"target_modules": EVERY_LINEAR, "use_dora": True},
    "embedding with dora": {"target_modules": ["embed_tokens"], "use_dora": True},
    "whole modules": {"modules_to_save": ["embed_tokens", "norm"]},
    "token rows": {"trainable_token_indices": {"embed_tokens": [3, 100, 7]}},
}


@pytest.mark.parametrize("lora", IN_BLOCKS.values(), ids=IN_BLOCKS)
def test_blocks_make_no_difference(
    lora: dict[str, Any], tiny_model_dir: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_model_dir("llama")
    adapter = adapter_of(base, tmp_path / "adapter", **lora)
    whole = tensors(opened(base, adapter))
    monkeypatch.setattr("tunesmith.models.weights._BUFFER", 5 * 64 * 4)  # five rows
    same(tensors(opened(base, adapter)), whole, exact=False)


def test_blocks_end_where_an_expert_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny(tmp_path / "base", "qwen3_moe", **MOE)
    load(base).save_pretrained(base, save_original_format=False)
    adapter = adapter_of(base, tmp_path / "adapter", **EXPERTS)
    whole = tensors(opened(base, adapter))
    monkeypatch.setattr("tunesmith.models.weights._BUFFER", 50 * 64 * 4)
    same(tensors(opened(base, adapter)), whole, exact=False)


# A GGUF file as the base


def test_a_gguf_base(smollm2_gguf: Path, tmp_path: Path) -> None:

    vocabulary = materialize(smollm2_gguf, tmp_path)
    config = AutoConfig.from_pretrained(vocabulary)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(
            model, LoraConfig(r=2, target_modules=["q_proj"], layers_to_transform=[1]), low_cpu_mem_usage=True
        )
    layer = "base_model.model.model.layers.1.self_attn.q_proj"
    a, b = torch.randn(2, config.hidden_size), torch.randn(config.hidden_size, 2)
    adapter = tmp_path / "adapter"
    adapted.peft_config["default"].save_pretrained(adapter)
    save_file({f"{layer}.lora_A.weight": a, f"{layer}.lora_B.weight": b}, adapter / "adapter_model.safetensors")
    source = opened(smollm2_gguf, adapter, vocabulary=vocabulary)
    wanted = {"model.layers.1.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.weight", "model.norm.weight"}
    base = {name: tensor for name, tensor in stream_weights(smollm2_gguf, torch.float32) if name in wanted}
    for weight in source.weights:
        if weight.name in wanted:
            delta = 4 * b @ a if "layers.1" in weight.name else 0
            assert torch.equal(weight.read(), (base[weight.name] + delta).bfloat16()), weight.name


def test_a_base_without_adapters_is_itself(tiny_model_dir: Callable[..., Path]) -> None:
    base = tiny_model_dir("llama")
    source = opened(base)
    same(tensors(source), load_file(base / "model.safetensors"))
    assert source.nbytes == sum(tensor.nbytes for tensor in load_file(base / "model.safetensors").values())
