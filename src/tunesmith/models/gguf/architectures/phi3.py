"""Phi 3 and 4: q, k and v in one tensor, gate and up in another, as Hugging Face has them too."""

from __future__ import annotations

from tunesmith.models.gguf.architecture import ARCHITECTURES, FRAME, KEYS, Architecture, Key

_APART = ("q_proj", "k_proj", "v_proj")
_MODULES = {
    **{name: theirs for name, theirs in FRAME.items() if not name.endswith(_APART)},
    "model.layers.{}.self_attn.qkv_proj": "blk.{}.attn_qkv",
    "model.layers.{}.mlp.gate_up_proj": "blk.{}.ffn_up",
    "model.layers.{}.mlp.down_proj": "blk.{}.ffn_down",
}

ARCHITECTURES.add(
    "phi3",
    Architecture(
        name="phi3",
        model_types=("phi3",),
        modules=_MODULES,
        keys=(
            *KEYS,
            Key("sliding_window", "attention.sliding_window"),
            Key("original_max_position_embeddings", "rope.scaling.original_context_length"),
        ),
        assumed={"hidden_act": "silu"},
    ),
)
