"""AdamW (Loshchilov & Hutter, 2019) as torch has it."""

from __future__ import annotations

import torch

from tunesmith.config import OptimizerConfig
from tunesmith.training.optimizers import OPTIMIZERS, Groups


@OPTIMIZERS.member("adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw")
def adamw(groups: Groups, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The fused kernel, which torch has for CPU and CUDA alike."""
    return torch.optim.AdamW(
        groups,
        lr=config.learning_rate,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        fused=True,
    )
