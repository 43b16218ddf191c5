"""InternLM2 as the Llama that it is: the same arithmetic under other names, with q, k and v in one matrix.

transformers has no such model; with this its checkpoints, and adapters trained on them, are read as a Llama's.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from tunesmith.models.shards import read_header
from tunesmith.models.weights import read_tensor

MODEL_TYPE = "internlm2"

_NAMES = {
    "tok_embeddings": "embed_tokens",
    "output": "lm_head",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_FUSED, _PARTS = "attention.wqkv", ("q_proj", "k_proj", "v_proj")
_MODULES = {name.rpartition(".")[2]: theirs.rpartition(".")[2] for name, theirs in _NAMES.items()}
_SAME = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "hidden_act", "max_position_embeddings", "initializer_range", "rms_norm_eps", "use_cache", "tie_word_embeddings",
    "rope_theta", "rope_scaling", "rope_parameters", "bos_token_id", "eos_token_id", "pad_token_id", "dtype",
    "torch_dtype", "quantization_config",
)  # fmt: skip


class Part(NamedTuple):
    """A Llama tensor, and which of q, k and v it is of a matrix that holds all three; None: the whole tensor."""

    name: str
    part: int | None = None


def llama_config(raw: Mapping[str, Any]) -> dict[str, Any]:
    """config.json of the same model as a Llama."""
    kept = {key: raw[key] for key in _SAME if raw.get(key) is not None}
    biased = bool(raw.get("bias", False))
    return {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "tie_word_embeddings": False, **kept,
            "attention_bias": biased, "mlp_bias": False}  # fmt: skip


def llama_names(name: str) -> list[Part]:
    """What a tensor or module of InternLM2 is called in a Llama; three names where it holds q, k and v."""
    if f".{_FUSED}" in name:
        return [Part(name.replace(_FUSED, f"self_attn.{each}"), i) for i, each in enumerate(_PARTS)]
    for ours, theirs in _NAMES.items():
        if re.search(rf"(^|\.){re.escape(ours)}(\.|$)", name):
            return [Part(re.sub(rf"(^|\.){re.escape(ours)}(?=\.|$)", rf"\g<1>{theirs}", name, count=1))]
    return [Part(name)]


def part_rows(part: int, config: Mapping[str, Any]) -> int:
    """Rows of q (0), k (1) or v (2)."""
    groups, queries, size = _layout(config)
    return groups * (queries if part == 0 else 1) * size


def take_part(fused: Tensor, part: int, config: Mapping[str, Any]) -> Tensor:
    """q (0), k (1) or v (2) out of rows [groups · (queries + 2) · head size, …]: each group's q, then its k and v."""
    groups, queries, size = _layout(config)
    rows = fused.unflatten(0, (groups, queries + 2, size))
    chosen = (rows[:, :queries], rows[:, -2:-1], rows[:, -1:])[part]
    return chosen.flatten(0, 2).contiguous()


def as_llama(tensors: Iterator[tuple[str, Tensor]], config: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of a checkpoint as a Llama's. config: InternLM2's own or the Llama's."""
    for name, tensor in tensors:
        for each in llama_names(name):
            yield each.name, tensor if each.part is None else take_part(tensor, each.part, config)


def is_adapter(folder: Path) -> bool:
    """Whether an adapter names its tensors as InternLM2 does."""
    return any(llama_names(name) != [Part(name)] for name in read_header(folder / "adapter_model.safetensors"))


def llama_adapter(folder: Path, config: Mapping[str, Any], cache: Path) -> Path:
    """The adapter of an InternLM2 as one of the Llama, made once per content in `cache`. config: of the base.

    The first factor beside q, k and v is the same for all three; of the second, and of DoRA's magnitudes, each has its
    rows.
    """
    weights, settings = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    digest = hashlib.sha256(weights.read_bytes() + settings.read_bytes() + json.dumps(_layout(config)).encode())
    made = cache / "adapters" / f"{folder.name}-{digest.hexdigest()[:16]}"
    if made.is_dir():
        return made
    aside = made.with_name(f".{made.name}.{os.getpid()}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for file in folder.iterdir():
        if file.is_file() and file not in (weights, settings) and file.suffix in (".json", ".jinja", ".model"):
            shutil.copyfile(file, aside / file.name)
    stored = {name: read_tensor(weights, place, torch.float32) for name, place in read_header(weights).items()}
    save_file(dict(_adapter_tensors(stored, config)), aside / weights.name, metadata={"format": "pt"})
    told = json.loads(settings.read_text(encoding="utf-8"))
    for key in ("target_modules", "modules_to_save"):
        if isinstance(told.get(key), list):
            told[key] = [each for name in told[key] for each in _module_names(name)]
    for key in ("rank_pattern", "alpha_pattern"):
        patterns = (told.get(key) or {}).items()
        told[key] = {each: value for name, value in patterns for each in _module_names(name)}
    (aside / settings.name).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8", newline="\n")
    try:
        aside.replace(made)
    except OSError:  # another process was faster
        shutil.rmtree(aside)
        if not made.is_dir():
            raise
    return made


def _adapter_tensors(stored: Mapping[str, Tensor], config: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in stored.items():
        for each in llama_names(name):
            shared = each.part is None or ".lora_A." in name
            assert shared or each.part is not None
            yield each.name, tensor.clone() if shared else take_part(tensor, each.part or 0, config)


def _module_names(name: str) -> list[str]:
    """Llama's names of a module, by its last part or more of its path."""
    head, dot, last = name.rpartition(".")
    if last == "wqkv":
        return [f"{head}{dot}{each}".replace("attention.", "self_attn.") for each in _PARTS]
    return [llama_names(name)[0].name] if "." in name else [_MODULES.get(name, name)]


def _layout(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Groups of heads that share k and v, query heads in each, size of a head."""
    heads = int(config["num_attention_heads"])
    groups = int(config.get("num_key_value_heads") or heads)
    return groups, heads // groups, int(config["hidden_size"]) // heads
