"""Tiny models of every architecture that is written as GGUF, and their weights as a stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors import safe_open
from tests.conftest import COMMON
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from tunesmith.export.gguf.writer import write_gguf
from tunesmith.export.weights import Source, Weight

F32 = gguf.GGMLQuantizationType.F32

_MIXTURE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_GEMMA = {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 16}
_PHI = {"original_max_position_embeddings": 256}
_LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0 + i / 10 for i in range(8)]}
_LONG |= {"long_factor": [2.0 + i for i in range(8)]}


def _longrope(original: int) -> dict[str, Any]:
    rope = {**_LONG, "original_max_position_embeddings": original}
    sizes = {"max_position_embeddings": 1024, "original_max_position_embeddings": original}
    return {**_PHI, **sizes, "rope_parameters": rope}


# model type and settings, by a name for the case
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama with biases": ("llama", {"attention_bias": True, "mlp_bias": True, "num_key_value_heads": 1}),
    "llama 3.1": (
        "llama",
        {
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
            },
        },
    ),
    "mistral": ("mistral", {"head_dim": 32}),
    "mixtral": ("mixtral", {"num_local_experts": 4}),
    "qwen2": ("qwen2", {}),
    "qwen2 yarn": (
        "qwen2",
        {
            "rope_parameters": {
                "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "attention_factor": 1.5,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "qwen2moe": ("qwen2_moe", {**_MIXTURE, "shared_expert_intermediate_size": 64}),
    "qwen3": ("qwen3", {"head_dim": 32, "tie_word_embeddings": True}),
    "qwen3 linear": (
        "qwen3", {"head_dim": 16, "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
    ),
    "qwen3moe": ("qwen3_moe", {**_MIXTURE, "head_dim": 16, "norm_topk_prob": True}),
    "gemma2": ("gemma2", _GEMMA),
    "gemma3": (
        "gemma3_text",
        {
            **_GEMMA,
            "num_hidden_layers": 7,  # the sixth sees the whole context
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 20000.0},
            },
        },
    ),
    "phi3": ("phi3", {**_PHI, "rope_parameters": {"rope_theta": 10000.0, "partial_rotary_factor": 0.5}}),
    "phi3 long, within": ("phi3", _longrope(256)),
    "phi3 long, beyond": ("phi3", _longrope(20)),
    "glm4": ("glm4", {"head_dim": 16}),
}  # fmt: skip


def write_case(case: str, tokenizer: Path, folder: Path) -> None:
    """A random model of the case. Norms and biases, which are all alike when new, are made to differ."""
    kind, settings = CASES[case]
    wrapped = PreTrainedTokenizerFast.from_pretrained(tokenizer)
    ids = {"bos_token_id": None, "eos_token_id": wrapped.eos_token_id, "pad_token_id": wrapped.pad_token_id}
    config = AutoConfig.for_model(kind, **{**COMMON, "vocab_size": len(wrapped), **ids, **settings})
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1234)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.2 * torch.rand(parameter.shape)
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)


def source_of(folder: Path) -> Source:
    """A folder with one safetensors file, read tensor by tensor."""
    path = folder / "model.safetensors"

    def read(name: str) -> Tensor:
        with safe_open(path, "pt") as file:
            return file.get_tensor(name)

    with safe_open(path, "pt") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    weights = [Weight(name, tuple(t.shape), t.dtype, lambda name=name: read(name)) for name, t in stored.items()]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Source(weights, config, folder, base=str(folder), repository="someone/tiny-model")


def plain(rows: Tensor, kind: gguf.GGMLQuantizationType, importance: Tensor | None = None) -> np.ndarray:
    """The gguf package's own quantization."""
    return gguf.quants.quantize(rows.numpy(), kind)


def write_f32(source: Source, path: Path, **settings: Any) -> Path:
    kinds = {"kinds": lambda name, shape: F32, "file_type": gguf.LlamaFileType.ALL_F32, "quantize": plain}
    write_gguf(source, path, **{**kinds, **settings})
    return path


def zeros(rows: int, folder: Path, settings: dict[str, Any] | None = None) -> Source:
    """A llama of one layer that knows nothing, with the tokenizer in `folder`."""
    config = {
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 1, "num_key_value_heads": 1, "vocab_size": rows, "tie_word_embeddings": True,
        "max_position_embeddings": 256, **(settings or {}),
    }  # fmt: skip
    layer = "model.layers.0."
    matrices = [f"self_attn.{part}_proj" for part in "qkvo"] + [f"mlp.{part}_proj" for part in ("gate", "up", "down")]
    shapes = {f"{layer}{name}.weight": (32, 32) for name in matrices}
    shapes |= {f"{layer}{name}_layernorm.weight": (32,) for name in ("input", "post_attention")}
    shapes |= {"model.embed_tokens.weight": (rows, 32), "model.norm.weight": (32,)}
    weights = [Weight(name, s, torch.float32, lambda s=s: torch.zeros(s)) for name, s in shapes.items()]
    return Source(weights, config, folder, base="")
