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
"""The tensor that carries Llama 3's scaling: GGUF has no keys for it. float32 [rotated size / 2]."""

LONG, SHORT = "rope_factors_long.weight", "rope_factors_short.weight"
"""The tensors of LongRoPE's factors, float32 [rotated size / 2]."""

_FLOAT, _INT, _TEXT = GGUFValueType.FLOAT32, GGUFValueType.UINT32, GGUFValueType.STRING
_SCALED = {  # Hugging Face → GGUF, below `rope.scaling.`
    "factor": ("factor", _FLOAT),
    "original_max_position_embeddings": ("original_context_length", _INT),
    "attention_factor": ("attn_factor", _FLOAT),
    "beta_fast": ("yarn_beta_fast", _FLOAT),
    "beta_slow": ("yarn_beta_slow", _FLOAT),
}
_DYNAMIC = ("factor", "alpha")
_KINDS = ("default", "linear", "yarn", "llama3", "longrope")
# Of what scales positions there are no more words in GGUF than these.
_TOLD = {
    *_SCALED, "rope_type", "type", "rope_theta", "partial_rotary_factor", "low_freq_factor", "high_freq_factor",
    "long_factor", "short_factor",
}  # fmt: skip
# Every Llama 3.1–3.3 release: https://huggingface.co/meta-llama/Llama-3.1-8B/blob/main/config.json
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}

_BY_LAYER = "gemma3"  # its sliding layers turn by a frequency of their own


def read_rope(file: GGUFFile, head_dim: int) -> dict[str, Any]:
    """`rope_parameters` of a file. UserError for a scaling that can't be expressed, since positions would be wrong."""
    prefix = f"{file.architecture}.rope."
    rotated = int(file.metadata.get(prefix + "dimension_count", head_dim))
    found = _read_scaling(file, prefix, rotated)
    if rotated != head_dim:
        found["partial_rotary_factor"] = rotated / head_dim
    if file.architecture != _BY_LAYER:
        return found
    sliding = float(file.metadata.get(prefix + "freq_base_swa", 10000.0))
    return {"full_attention": found, "sliding_attention": {"rope_type": "default", "rope_theta": sliding}}


def rope_metadata(architecture: str, rope: Mapping[str, Any], context: int = 0) -> dict[str, tuple[Any, GGUFValueType]]:
    """GGUF key → value and type for `rope_parameters`; what goes into tensors: `rope_tensors`.

    context: `max_position_embeddings`, which some scalings start from. UserError for a scaling that llama.cpp has not.
    """
    prefix, written = f"{architecture}.rope.", {}
    if "full_attention" in rope:
        sliding, rope = rope["sliding_attention"], rope["full_attention"]
        if sliding.get("rope_type", "default") != "default":
            raise UserError("Scaled positions within the sliding window can't be expressed in GGUF.")
        written[prefix + "freq_base_swa"] = (float(sliding["rope_theta"]), _FLOAT)
    kind = rope.get("rope_type", "default")
    if kind == "dynamic":  # it begins beyond the context that the file tells of
        kind, rope = "default", {name: rope[name] for name in rope if name not in _DYNAMIC}
    untold = sorted(name for name, value in rope.items() if name not in _TOLD and value is not None)
    if kind not in _KINDS or untold:
        raise UserError(
            f"Positions scaled by {kind!r}{' with ' + ', '.join(untold) if untold else ''} can't be expressed in GGUF.",
            hint="Leave rope_scaling out, or use the model as a folder with safetensors.",
        )
    written[prefix + "freq_base"] = (float(rope["rope_theta"]), _FLOAT)
    if kind in ("linear", "yarn", "longrope"):
        written[prefix + "scaling.type"] = (kind, _TEXT)
        for ours, value in _scaling(kind, rope, context).items():
            theirs, value_kind = _SCALED[ours]
            written[f"{prefix}scaling.{theirs}"] = (value, value_kind)
    return written


def rope_tensors(rope: Mapping[str, Any], rotated: int) -> dict[str, np.ndarray]:
    """The tensors that carry a scaling, by name, float32 [rotated / 2]; most have none."""
    rope = rope.get("full_attention", rope)
    if rope.get("rope_type") == "llama3":
        return {FACTORS: llama3_factors(rope, rotated)}
    if rope.get("rope_type") == "longrope":
        factors = {LONG: rope["long_factor"], SHORT: rope["short_factor"]}
        return {name: np.asarray(values, dtype=np.float32) for name, values in factors.items()}
    return {}


def llama3_factors(rope: Mapping[str, Any], head_dim: int) -> np.ndarray:
    """What Llama 3's scaling divides each rotary frequency by, float32 [head_dim / 2]."""
    frequency = 1.0 / rope["rope_theta"] ** (np.arange(0, head_dim, 2) / head_dim)
    turns = rope["original_max_position_embeddings"] * frequency / (2 * math.pi)
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1.0 - smooth) / factor + smooth)).astype(np.float32)


def _scaling(kind: str, rope: Mapping[str, Any], context: int) -> dict[str, Any]:
    """What GGUF is told of a scaling, by Hugging Face's names."""
    told = {name: rope[name] for name in _SCALED if rope.get(name) is not None}
    original = told.get("original_max_position_embeddings") or context
    if kind == "linear":
        return {"factor": told["factor"]}
    told["original_max_position_embeddings"] = original
    if kind == "longrope":
        # Hugging Face makes the attention's factor of the others, llama.cpp has to be told.
        stretch = told.pop("factor", None) or context / original
        told.setdefault("attention_factor", _longrope_attention(stretch, original))
    elif "attention_factor" in told:  # llama.cpp multiplies its own with it
        told["attention_factor"] /= _yarn_attention(told["factor"])
    return told


def _longrope_attention(stretch: float, original: int) -> float:
    return math.sqrt(1 + math.log(stretch) / math.log(original)) if stretch > 1 else 1.0


def _yarn_attention(factor: float) -> float:
    return 0.1 * math.log(factor) + 1.0 if factor > 1 else 1.0


def _read_scaling(file: GGUFFile, prefix: str, rotated: int) -> dict[str, Any]:
    theta = float(file.metadata.get(prefix + "freq_base", 10000.0))
    if FACTORS in file.tensors:
        return _read_llama3(file, theta, rotated)
    kind = file.metadata.get(prefix + "scaling.type", "none")
    if LONG in file.tensors and SHORT in file.tensors:
        kind = "longrope"  # files made by llama.cpp's converter don't say it
    if kind == "none":
        return {"rope_type": "default", "rope_theta": theta}
    if kind not in _KINDS:
        raise UserError(f"{file.path.name} scales its positions by {kind!r}, which is not read.", field=FIELD)
    scaled = {
        ours: file.metadata[f"{prefix}scaling.{theirs}"]
        for ours, (theirs, _) in _SCALED.items()
        if f"{prefix}scaling.{theirs}" in file.metadata
    }
    if kind == "longrope":
        scaled |= {"long_factor": _values(file, LONG).tolist(), "short_factor": _values(file, SHORT).tolist()}
    elif kind == "yarn" and "attention_factor" in scaled:
        scaled["attention_factor"] *= _yarn_attention(scaled["factor"])
    return {"rope_type": kind, "rope_theta": theta, **scaled}


def _read_llama3(file: GGUFFile, theta: float, rotated: int) -> dict[str, Any]:
    stored = _values(file, FACTORS)
    found = {"rope_type": "llama3", "rope_theta": theta, "factor": float(stored.max()), **_LLAMA3}
    if not np.allclose(llama3_factors(found, rotated), stored, rtol=1e-3):
        raise UserError(f"{file.path.name} scales its positions in a way that is not read.", field=FIELD)
    return found


def _values(file: GGUFFile, name: str) -> np.ndarray:
    return np.concatenate([block.reshape(-1) for block in file.rows_of(name)])
