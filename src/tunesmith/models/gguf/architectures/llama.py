"""Llama 1–3, SmolLM, Mistral, Mixtral: rotary pairs lie side by side in GGUF and half a head apart in Hugging Face."""

from __future__ import annotations

from torch import Tensor

from tunesmith.models.gguf.architecture import ARCHITECTURES, FRAME, FUSED, KEYS, Architecture, Config, Key, Transform


def _interleave(tensor: Tensor, heads: int) -> Tensor:
    """[heads · d, …]: within each head, rows 0 … d/2 and d/2 … d become pairs."""
    return tensor.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(tensor.shape)


def _separate(tensor: Tensor, heads: int) -> Tensor:
    return tensor.unflatten(0, (heads, -1, 2)).transpose(1, 2).reshape(tensor.shape)


def _rotary(count: str) -> Transform:
    def heads(config: Config) -> int:
        return int(config.get(count) or config["num_attention_heads"])

    return Transform(lambda t, config: _interleave(t, heads(config)), lambda t, config: _separate(t, heads(config)))


_TRANSFORMS = {
    "model.layers.{}.self_attn.q_proj": _rotary("num_attention_heads"),
    "model.layers.{}.self_attn.k_proj": _rotary("num_key_value_heads"),
}

ARCHITECTURES.add(
    "llama",
    Architecture(
        name="llama",
        model_types=("llama", "mistral"),
        transforms=_TRANSFORMS,
        assumed={"hidden_act": "silu"},
    ),
)
ARCHITECTURES.add(
    "mixtral",
    Architecture(
        name="llama",
        model_types=("mixtral",),
        modules={
            **FRAME,
            "model.layers.{}.block_sparse_moe.gate": "blk.{}.ffn_gate_inp",
            "model.layers.{}.mlp.gate": "blk.{}.ffn_gate_inp",  # as transformers 5 computes with it
            "model.layers.{}.block_sparse_moe.experts.{}.w1": "blk.{}.ffn_gate_exps",
            "model.layers.{}.block_sparse_moe.experts.{}.w3": "blk.{}.ffn_up_exps",
            "model.layers.{}.block_sparse_moe.experts.{}.w2": "blk.{}.ffn_down_exps",
        },
        keys=(*KEYS, Key("num_local_experts", "expert_count"), Key("num_experts_per_tok", "expert_used_count")),
        transforms=_TRANSFORMS,
        fused=FUSED,
        assumed={"hidden_act": "silu"},
    ),
)
