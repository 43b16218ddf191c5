"""Rotary position settings between Hugging Face's `rope_parameters` and GGUF's metadata, both ways."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from gguf import GGUFValueType

from tunesmith.errors import UserError
from tunesmith.models.gguf.file import FIELD, GGUFFile

FACTORS = "rope_freqs.weight"
"""The tensor that carries Llama 3's scaling: GGUF has no keys for it. float32 [head size / 2]."""

_FLOAT, _INT, _TEXT = GGUFValueType.FLOAT32, GGUFValueType.UINT32, GGUFValueType.STRING
_SCALED = {  # Hugging Face → GGUF, below `rope.scaling.`
    "factor": ("factor", _FLOAT),
    "original_max_position_embeddings": ("original_context_length", _INT),
    "attention_factor": ("attn_factor", _FLOAT),
    "beta_fast": ("yarn_beta_fast", _FLOAT),
    "beta_slow": ("yarn_beta_slow", _FLOAT),
}
# Every Llama 3.1–3.3 release: https://huggingface.co/meta-llama/Llama-3.1-8B/blob/main/config.json
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def read_rope(file: GGUFFile, head_dim: int) -> dict[str, Any]:
    """`rope_parameters` of a file. UserError for a scaling that can't be expressed, since positions would be wrong."""
    prefix = f"{file.architecture}.rope."
    theta = float(file.metadata.get(prefix + "freq_base", 10000.0))
    if FACTORS in file.tensors:
        return _read_llama3(file, theta, head_dim)
    kind = file.metadata.get(prefix + "scaling.type", "none")
    if kind == "none":
        return {"rope_type": "default", "rope_theta": theta}
    if kind not in ("linear", "yarn"):
        raise UserError(f"{file.path.name} scales its positions by {kind!r}, which is not read.", field=FIELD)
    scaled = {
        ours: file.metadata[f"{prefix}scaling.{theirs}"]
        for ours, (theirs, _) in _SCALED.items()
        if f"{prefix}scaling.{theirs}" in file.metadata
    }
    return {"rope_type": kind, "rope_theta": theta, **scaled}


def rope_metadata(architecture: str, rope: Mapping[str, Any]) -> dict[str, tuple[Any, GGUFValueType]]:
    """GGUF key → value and type for `rope_parameters`. Llama 3's scaling goes into a tensor: `llama3_factors`."""
    prefix = f"{architecture}.rope."
    written: dict[str, tuple[Any, GGUFValueType]] = {prefix + "freq_base": (float(rope["rope_theta"]), _FLOAT)}
    if rope.get("rope_type") in ("linear", "yarn"):
        written[prefix + "scaling.type"] = (rope["rope_type"], _TEXT)
        for ours, (theirs, kind) in _SCALED.items():
            if rope.get(ours) is not None:
                written[f"{prefix}scaling.{theirs}"] = (rope[ours], kind)
    return written


def llama3_factors(rope: Mapping[str, Any], head_dim: int) -> np.ndarray:
    """What Llama 3's scaling divides each rotary frequency by, float32 [head_dim / 2]."""
    frequency = 1.0 / rope["rope_theta"] ** (np.arange(0, head_dim, 2) / head_dim)
    turns = rope["original_max_position_embeddings"] * frequency / (2 * math.pi)
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1.0 - smooth) / factor + smooth)).astype(np.float32)


def _read_llama3(file: GGUFFile, theta: float, head_dim: int) -> dict[str, Any]:
    stored = np.concatenate([block.reshape(-1) for block in file.rows_of(FACTORS)])
    found = {"rope_type": "llama3", "rope_theta": theta, "factor": float(stored.max()), **_LLAMA3}
    if not np.allclose(llama3_factors(found, head_dim), stored, rtol=1e-3):
        raise UserError(f"{file.path.name} scales its positions in a way that is not read.", field=FIELD)
    return found
