"""What of the model is trained: an adapter, some layers, or everything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from tunesmith.config.section import Decay, NonNegative, Positive, PositiveFloat, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterConfig(Section):
    """What of the model is trained: an adapter, some layers, or everything."""

    finetuning_type: Literal["lora", "freeze", "full"] = "lora"
    """`lora` trains small matrices beside the frozen weights, `freeze` some layers, `full` every weight."""
    adapter_name_or_path: tuple[str, ...] = ()
    """Adapters to start from, in order. All but the last are merged into the base; training goes on in the last."""
    adapter_folder: str | None = None
    """Folder inside the adapter's repository that holds it."""
    create_new_adapter: bool = False
    """Merge every adapter that was given and train a new one."""

    lora_rank: Positive = 8
    """Inner size of the LoRA matrices: more can learn more and costs more memory."""
    lora_alpha: Positive | None = None
    """Scale of the adapter: its output counts lora_alpha / lora_rank. Left out: twice the rank."""
    lora_dropout: Decay = 0.0
    """Share of the adapter's input that is dropped at random in training."""
    lora_target: tuple[str, ...] = ("all",)
    """Linear layers that get an adapter, by name (`q_proj,v_proj`); `all` is every one but the output head."""
    additional_target: tuple[str, ...] = ()
    """Modules trained whole and saved with the adapter, for example `embed_tokens,lm_head` after adding tokens."""
    use_rslora: bool = False
    """Rank-stabilized LoRA: scale by lora_alpha / √lora_rank, for large ranks."""
    use_dora: bool = False
    """Weight-decomposed LoRA: a trained length per column beside the direction. Slower, often better at small rank."""
    loraplus_lr_ratio: PositiveFloat | None = None
    """LoRA+: the B matrices learn this many times faster than the A matrices (16 is usual)."""
    loraplus_lr_embedding: NonNegative = 1e-6
    """LoRA+: learning rate of adapters on embeddings."""
    pissa_init: bool = False
    """Start the adapter from the largest singular vectors of each weight instead of from nothing (PiSSA)."""
    pissa_iter: Annotated[int, Ge(-1)] = 16
    """Iterations of PiSSA's fast singular value decomposition; -1 computes the exact one."""
    pissa_convert: bool = False
    """Save a PiSSA adapter as a plain LoRA for the unchanged base model."""

    freeze_trainable_layers: int = 2
    """`freeze`: how many layers are trained: n counts from the end, -n from the beginning."""
    freeze_trainable_modules: tuple[str, ...] = ("all",)
    """`freeze`: modules of those layers that are trained, by name (`mlp`, `self_attn`), or `all`."""
    freeze_extra_modules: tuple[str, ...] = ()
    """`freeze`: modules outside the layers that are trained too, for example `embed_tokens,norm`."""
