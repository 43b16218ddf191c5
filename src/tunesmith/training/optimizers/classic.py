"""Optimizers older than AdamW, under transformers' names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.config import OptimizerConfig
from tunesmith.training.optimizers import OPTIMIZERS, Groups

if TYPE_CHECKING:
    from torch.optim import Optimizer


@OPTIMIZERS.member("sgd")
def sgd(groups: Groups, config: OptimizerConfig) -> Optimizer:
    """Plain stochastic gradient descent, no state."""
    from torch.optim import SGD

    return SGD(groups, lr=config.learning_rate)


@OPTIMIZERS.member("adagrad")
def adagrad(groups: Groups, config: OptimizerConfig) -> Optimizer:
    """Adagrad (Duchi et al., 2011)."""
    from torch.optim import Adagrad

    return Adagrad(groups, lr=config.learning_rate)


@OPTIMIZERS.member("rmsprop")
def rmsprop(groups: Groups, config: OptimizerConfig) -> Optimizer:
    """RMSprop (Hinton, 2012)."""
    from torch.optim import RMSprop

    return RMSprop(groups, lr=config.learning_rate)


@OPTIMIZERS.member("adafactor")
def adafactor(groups: Groups, config: OptimizerConfig) -> Optimizer:
    """Adafactor (Shazeer & Stern, 2018) at the learning rate of the schedule.

    Not relative to the size of a weight, as torch's own is: a LoRA's B starts at zero and would never move.
    """
    from transformers.optimization import Adafactor

    return Adafactor(groups, lr=config.learning_rate, scale_parameter=False, relative_step=False)
