"""Qwen 2 and 2.5: biases on q, k and v; no change of layout."""

from __future__ import annotations

from tunesmith.models.gguf.architecture import ARCHITECTURES, Architecture

ARCHITECTURES.add(
    "qwen2",
    Architecture(
        name="qwen2",
        model_types=("qwen2",),
        assumed={"hidden_act": "silu", "use_sliding_window": False},
    ),
)
