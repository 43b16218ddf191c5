"""Qwen 3: queries and keys are normalized per head."""

from __future__ import annotations

from tunesmith.models.gguf.architecture import ARCHITECTURES, DECODER, HEAD_NORMS, Architecture

ARCHITECTURES.add(
    "qwen3",
    Architecture(
        name="qwen3",
        model_types=("qwen3",),
        modules={**DECODER, **HEAD_NORMS},
        assumed={"hidden_act": "silu", "use_sliding_window": False},
    ),
)
