"""Tiny models with adapters of random weights, and what peft makes of them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from tunesmith.export.merge import open_source
from tunesmith.export.weights import Source
from tunesmith.models.locate import LocalModel

EVERY_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
IDS = torch.tensor([[1, 5, 9, 200, 31, 7]])


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def adapter_of(base: Path, folder: Path, config: Any = None, *, model: Any = None, **lora: Any) -> Path:
    """An adapter with random weights for the base, saved in `folder`."""
    lora = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"], **lora}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(3)
        adapted = get_peft_model(model or load(base), config or LoraConfig(task_type="CAUSAL_LM", **lora))
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                around = 1.0 if "magnitude" in name or "ia3" in name else parameter.data
                parameter.data.copy_(torch.randn_like(parameter) * 0.1 + around)  # in place: tied ones stay tied
        adapted.save_pretrained(folder)
    return folder


def with_adapter(base: Path, adapter: Path, dtype: torch.dtype = torch.float32) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PeftModel.from_pretrained(load(base, dtype), adapter)


def merged_by_peft(base: Path, adapter: Path, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """As a checkpoint holds them."""
    folder = adapter.with_name(f"{adapter.name}-merged")
    with_adapter(base, adapter, dtype).merge_and_unload().save_pretrained(folder)
    return load_file(folder / "model.safetensors")


def opened(base: Path, *adapters: Path, **options: Any) -> Source:
    kind = "gguf" if base.suffix == ".gguf" else "folder"
    folder = options.pop("vocabulary", base)
    return open_source(LocalModel(base, kind, base.name), folder, adapters, **options)


def tensors(source: Source) -> dict[str, Tensor]:
    found = {}
    for weight in source.weights:
        found[weight.name] = weight.read()
        assert found[weight.name].is_contiguous()
        assert (weight.shape, weight.dtype) == (tuple(found[weight.name].shape), found[weight.name].dtype)
    return found


def reloaded(source: Source, folder: Path) -> Any:
    folder.mkdir()
    save_file(tensors(source), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(source.config), encoding="utf-8")
    return load(folder)


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor], *, exact: bool = True) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        if exact:
            assert torch.equal(ours[name], tensor), (name, float((ours[name] - tensor).abs().max()))
        else:
            torch.testing.assert_close(ours[name], tensor, atol=1e-6, rtol=1e-5)


SIZES: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.2, "vocab_size": 320,
    "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0,
}  # fmt: skip
MOE = {"num_experts": 4, "moe_intermediate_size": 32, "num_experts_per_tok": 2, "head_dim": 16}


def tiny(folder: Path, architecture: str, dtype: torch.dtype = torch.float32, **config: Any) -> Path:
    torch.manual_seed(5)
    made = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **{**SIZES, **config}), dtype=dtype)
    made.save_pretrained(folder)
    return folder


EXPERTS = {"target_modules": ["q_proj"], "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]}
