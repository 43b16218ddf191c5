"""Qwen 3 mixtures: routed experts alone, their shares made to sum to one."""

from __future__ import annotations

from tunesmith.models.gguf.architecture import (
    ARCHITECTURES,
    FRAME,
    FUSED,
    HEAD_NORMS,
    KEYS,
    MIXTURE,
    Architecture,
    Key,
)

ARCHITECTURES.add(
    "qwen3moe",
    Architecture(
        name="qwen3moe",
        model_types=("qwen3_moe",),
        modules={**FRAME, **HEAD_NORMS, **MIXTURE},
        keys=(
            *KEYS,
            Key("num_local_experts", "expert_count"),
            Key("num_experts_per_tok", "expert_used_count"),
            Key("moe_intermediate_size", "expert_feed_forward_length"),
        ),
        fused=FUSED,
        assumed={
            "hidden_act": "silu",
            "use_sliding_window": False,
            "norm_topk_prob": True,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
        },
    ),
)
