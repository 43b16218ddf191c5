"""Qwen 1.5 and 2 mixtures: routed experts, and a shared one behind a gate of its own."""

from __future__ import annotations

from tunesmith.models.gguf.architecture import ARCHITECTURES, FRAME, FUSED, KEYS, MIXTURE, Architecture, Key

ARCHITECTURES.add(
    "qwen2moe",
    Architecture(
        name="qwen2moe",
        model_types=("qwen2_moe",),
        modules={
            **FRAME,
            **MIXTURE,
            "model.layers.{}.mlp.shared_expert_gate": "blk.{}.ffn_gate_inp_shexp",
            "model.layers.{}.mlp.shared_expert.gate_proj": "blk.{}.ffn_gate_shexp",
            "model.layers.{}.mlp.shared_expert.up_proj": "blk.{}.ffn_up_shexp",
            "model.layers.{}.mlp.shared_expert.down_proj": "blk.{}.ffn_down_shexp",
        },
        keys=(
            *KEYS,
            Key("num_experts", "expert_count"),
            Key("num_experts_per_tok", "expert_used_count"),
            Key("moe_intermediate_size", "expert_feed_forward_length"),
            Key("shared_expert_intermediate_size", "expert_shared_feed_forward_length"),
        ),
        fused=FUSED,
        assumed={
            "hidden_act": "silu",
            "use_sliding_window": False,
            "norm_topk_prob": False,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
        },
    ),
)
