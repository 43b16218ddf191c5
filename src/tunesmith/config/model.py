"""The base model: where it comes from and how it is loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Le

from tunesmith.config.section import Section

Hub = Literal["auto", "huggingface", "modelscope"]


def use_modelscope(hub: Hub = "auto") -> bool:
    """Whether ModelScope is the hub: as the job chose, or else as USE_MODELSCOPE_HUB says."""
    if hub != "auto":
        return hub == "modelscope"
    return os.environ.get("USE_MODELSCOPE_HUB", "").lower() in ("1", "true", "yes", "y", "on")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig(Section):
    """The base model: where it comes from and how it is loaded."""

    model_name_or_path: str = ""
    """The base model: a hub id (`Qwen/Qwen3-0.6B`), a folder with safetensors, or a `.gguf` file."""
    hub_name: Hub = "auto"
    """The hub that models and data sets come from and exports go to: `huggingface` or `modelscope`. `auto`: ModelScope
    where the environment has `USE_MODELSCOPE_HUB=1`, else Hugging Face."""
    model_revision: str = "main"
    """Branch, tag or commit of the model on its hub."""
    cache_dir: str | None = None
    """Where downloaded models are kept. Left out: the hub client's own cache."""
    hf_hub_token: str | None = field(default=None, repr=False)
    """Token for gated or private models on the Hugging Face hub. Better set `HF_TOKEN` or run `hf auth login`.
    Never written to a run."""
    ms_hub_token: str | None = field(default=None, repr=False)
    """Token for ModelScope, used where that is the hub. Never written to a run."""
    trust_remote_code: bool = False
    """Allow Python code that ships with the model to run on this machine. Leave it off unless the model can't be
    loaded without and you trust its author."""

    flash_attn: Literal["auto", "disabled", "sdpa", "fa2", "fa3"] = "auto"
    """How attention is computed. `auto` takes the fastest that is exact here; `disabled` is plain PyTorch code,
    `fa2` and `fa3` need the flash-attn package and an NVIDIA GPU."""
    rope_scaling: Literal["linear", "dynamic", "yarn", "llama3"] | None = None
    """Stretch the positions of a model beyond the length it was made for, up to `cutoff_len`."""
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    """Recompute activations in the backward pass: less memory, about a third more time. `auto` does it only when the
    memory estimate asks for it."""
    upcast_layernorm: bool = False
    """Keep the weights of normalization layers in float32."""
    infer_dtype: Literal["auto", "float16", "bfloat16", "float32"] = "auto"
    """Number format of the weights in chat."""
    train_from_scratch: bool = False
    """Start from random weights: only the model's shape and tokenizer are used."""

    add_tokens: tuple[str, ...] = ()
    """Ordinary tokens to add to the vocabulary; the embeddings grow with it."""
    add_special_tokens: tuple[str, ...] = ()
    """Control tokens to add to the vocabulary; the embeddings grow with it."""
    resize_vocab: bool = False
    """Grow the embeddings when the tokenizer has more tokens than the model. New rows start at the mean of the old."""
    split_special_tokens: bool = False
    """Read control tokens that a template spells as ordinary text. Text from the data is always ordinary."""

    quantization_bit: Annotated[int, Ge(2), Le(8)] | None = None
    """Load the base model quantized to 4 or 8 bits (QLoRA). Needs bitsandbytes and `finetuning_type: lora`."""
    quantization_type: Literal["nf4", "fp4"] = "nf4"
    """Number format of 4-bit weights."""
    double_quantization: bool = True
    """Quantize the scales of 4-bit weights too: a little less memory."""
