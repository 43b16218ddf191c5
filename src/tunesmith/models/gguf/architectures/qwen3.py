"""Qwen 3: queries and keys are normalized per head."""

from __future__ import annotations

from tunesmith.models.gguf.architecture import ARCHITECTURES, DECODER, Architecture

_MODULES = {
    **DECODER,
    "model.layers.{}.self_attn.q_norm": "blk.{}.attn_q_norm",
    "model.layers.{}.self_attn.k_norm": "blk.{}.attn_k_norm",
}

ARCHITECTURES.add("qwen3", Architecture(name="qwen3", model_types=("qwen3",), modules=_MODULES))
