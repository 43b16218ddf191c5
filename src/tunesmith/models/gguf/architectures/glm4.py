"""GLM 4: a norm after attention and one after the feed-forward; half of each head is rotated, pairs side by side."""

from __future__ import annotations

from tunesmith.models.gguf.architecture import ARCHITECTURES, FRAME, Architecture

_MODULES = {
    **FRAME,
    "model.layers.{}.post_self_attn_layernorm": "blk.{}.post_attention_norm",
    "model.layers.{}.post_mlp_layernorm": "blk.{}.post_ffw_norm",
    "model.layers.{}.mlp.gate_up_proj": "blk.{}.ffn_up",
    "model.layers.{}.mlp.down_proj": "blk.{}.ffn_down",
}

ARCHITECTURES.add(
    "glm4",
    Architecture(name="glm4", model_types=("glm4",), modules=_MODULES, assumed={"hidden_act": "silu"}),
)
