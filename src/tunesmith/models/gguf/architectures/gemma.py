"""Gemma 2 and 3 (text): norms are stored less one, the head is the embedding, layers alternate between a sliding window
and the whole context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunesmith.models.gguf.architecture import (
    ARCHITECTURES,
    DECODER,
    FLOAT32,
    HEAD_NORMS,
    KEYS,
    Architecture,
    Config,
    Key,
    Transform,
    head_size,
)

_NORMS = {
    "model.layers.{}.post_attention_layernorm": "blk.{}.post_attention_norm",
    "model.layers.{}.pre_feedforward_layernorm": "blk.{}.ffn_norm",
    "model.layers.{}.post_feedforward_layernorm": "blk.{}.post_ffw_norm",
}
_GEMMA2 = {name: theirs for name, theirs in {**DECODER, **_NORMS}.items() if name != "lm_head"}
_GEMMA3 = {**_GEMMA2, **HEAD_NORMS}
_KEYS = (*KEYS, Key("sliding_window", "attention.sliding_window"))
# Hugging Face multiplies by one more than the stored weight, GGUF by what is stored.
_PLUS_ONE = Transform(lambda tensor, _: tensor.float() + 1.0, lambda tensor, _: tensor.float() - 1.0)


def _plus_one(modules: dict[str, str]) -> dict[str, Transform]:
    return {name: _PLUS_ONE for name in modules if name.endswith("norm")}


def _pattern(period: int) -> Callable[[Config], list[str]]:
    """Every `period`-th layer sees the whole context."""

    def layer_types(config: Config) -> list[str]:
        count = range(1, config["num_hidden_layers"] + 1)
        return ["sliding_attention" if layer % period else "full_attention" for layer in count]

    return layer_types


def _query_scale(layers_of_27b: int) -> Callable[[Config], int]:
    """The size that queries are scaled by: llama.cpp knows the largest model, which differs, by its layers."""

    def scale(config: Config) -> int:
        if config["num_hidden_layers"] == layers_of_27b:
            return int(config["hidden_size"] // config["num_attention_heads"])
        return head_size(config)

    return scale


_ASSUMED: dict[str, Any] = {
    "hidden_activation": "gelu_pytorch_tanh",
    "attention_bias": False,
    "tie_word_embeddings": True,
}

ARCHITECTURES.add(
    "gemma2",
    Architecture(
        name="gemma2",
        model_types=("gemma2",),
        modules=_GEMMA2,
        keys=(
            *_KEYS,
            Key("attn_logit_softcapping", "attn_logit_softcapping", FLOAT32),
            Key("final_logit_softcapping", "final_logit_softcapping", FLOAT32),
        ),
        transforms=_plus_one(_GEMMA2),
        assumed={**_ASSUMED, "layer_types": _pattern(2), "query_pre_attn_scalar": _query_scale(46)},
    ),
)
ARCHITECTURES.add(
    "gemma3",
    Architecture(
        name="gemma3",
        model_types=("gemma3_text",),
        modules=_GEMMA3,
        keys=_KEYS,
        transforms=_plus_one(_GEMMA3),
        assumed={
            **_ASSUMED,
            "layer_types": _pattern(6),
            "query_pre_attn_scalar": _query_scale(62),
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "use_bidirectional_attention": False,
        },
    ),
)
