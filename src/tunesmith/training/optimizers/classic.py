"""Optimizers older than AdamW, under transformers' names."""

from __future__ import annotations

import torch
from transformers.optimization import Adafactor

from tunesmith.config import OptimizerConfig
from tunesmith.training.optimizers import OPTIMIZERS, Groups


@OPTIMIZERS.member("sgd")
def sgd(groups: Groups, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Plain stochastic gradient descent, no state."""
    return torch.optim.SGD(groups, lr=config.learning_rate)


@OPTIMIZERS.member("adagrad")
def adagrad(groups: Groups, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Adagrad (Duchi et al., 2011)."""
    return torch.optim.Adagrad(groups, lr=config.learning_rate)


@OPTIMIZERS.member("rmsprop")
def rmsprop(groups: Groups, config: OptimizerConfig) -> torch.optim.Optimizer:
    """RMSprop (Hinton, 2012)."""
    return torch.optim.RMSprop(groups, lr=config.learning_rate)


@OPTIMIZERS.member("adafactor")
def adafactor(groups: Groups, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Adafactor (Shazeer & Stern, 2018) at the learning rate of the schedule.

    Not relative to the size of a weight, as torch's own is: a LoRA's B starts at zero and would never move.
    """
    return Adafactor(groups, lr=config.learning_rate, scale_parameter=False, relative_step=False)
