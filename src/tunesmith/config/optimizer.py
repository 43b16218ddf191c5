"""How the weights are moved: optimizer, learning rate and its schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tunesmith.config.section import Decay, NonNegative, PositiveFloat, Section, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig(Section):
    """How the weights are moved: optimizer, learning rate and its schedule."""

    optim: str = "adamw_torch_fused"
    """The optimizer: `adamw_torch_fused`, `adamw_torch`, `sgd`, `adafactor`, `adagrad`, `rmsprop`, or with bitsandbytes
    `adamw_8bit`, `paged_adamw_8bit`, `paged_adamw_32bit`; plug-ins may add more."""
    learning_rate: PositiveFloat = 5e-5
    """Highest learning rate. Usual: 1e-4 for LoRA, 1e-5 for full training."""
    weight_decay: NonNegative = 0.0
    """How strongly weights are pulled towards zero."""
    adam_beta1: Decay = 0.9
    """Adam: memory of the gradient's mean."""
    adam_beta2: Decay = 0.999
    """Adam: memory of the gradient's square."""
    adam_epsilon: PositiveFloat = 1e-8
    """Adam: keeps the step finite where gradients vanish."""
    max_grad_norm: NonNegative = 1.0
    """Gradients longer than this are shortened to it; 0 switches it off."""
    lr_scheduler_type: Literal[
        "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt",
        "reduce_lr_on_plateau", "cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay",
    ] = "linear"  # fmt: skip
    """How the learning rate moves over the run, after the warm-up."""
    lr_scheduler_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the schedule, for example `{min_lr: 1e-6}` or `{num_cycles: 2}`."""
    warmup_steps: NonNegative = 0.0
    """Steps over which the learning rate rises from zero; below 1 a share of all steps. Wins over `warmup_ratio`."""
    warmup_ratio: Share = 0.0
    """The same as a share of all steps."""
    neftune_noise_alpha: NonNegative | None = None
    """NEFTune: noise added to the embeddings in training (5 is usual)."""
