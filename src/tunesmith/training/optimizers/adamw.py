"""AdamW (Loshchilov & Hutter, 2019) as torch has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.config import OptimizerConfig
from tunesmith.training.optimizers import OPTIMIZERS, Groups

if TYPE_CHECKING:
    from torch.optim import Optimizer


@OPTIMIZERS.member("adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw")
def adamw(groups: Groups, config: OptimizerConfig) -> Optimizer:
    """The fused kernel, which torch has for CPU and CUDA alike."""
    from torch.optim import AdamW

    return AdamW(
        groups,
        lr=config.learning_rate,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        fused=True,
    )
