"""8-bit and paged AdamW of the bitsandbytes package (Dettmers et al., 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.config import OptimizerConfig
from tunesmith.errors import UserError
from tunesmith.training.optimizers import OPTIMIZERS, Groups

if TYPE_CHECKING:
    from torch.optim import Optimizer


def _build(class_name: str, groups: Groups, config: OptimizerConfig) -> Optimizer:
    try:
        from bitsandbytes import optim
    except ImportError as error:
        raise UserError(
            f"optim: {config.optim} needs the bitsandbytes package, which can't be imported here ({error}).",
            hint="pip install 'tunesmith[bitsandbytes]', or optim: adamw_torch.",
            field="optim",
        ) from error
    built: Optimizer = getattr(optim, class_name)(
        groups, lr=config.learning_rate, betas=(config.adam_beta1, config.adam_beta2), eps=config.adam_epsilon
    )
    return built


@OPTIMIZERS.member("adamw_8bit", "adamw_bnb_8bit")
def adamw_8bit(groups: Groups, config: OptimizerConfig) -> Optimizer:
    """AdamW with block-wise 8-bit state."""
    return _build("AdamW8bit", groups, config)


@OPTIMIZERS.member("paged_adamw_8bit")
def paged_adamw_8bit(groups: Groups, config: OptimizerConfig) -> Optimizer:
    """8-bit state that may be paged out to the host."""
    return _build("PagedAdamW8bit", groups, config)


@OPTIMIZERS.member("paged_adamw_32bit", "paged_adamw")
def paged_adamw_32bit(groups: Groups, config: OptimizerConfig) -> Optimizer:
    """32-bit state that may be paged out to the host."""
    return _build("PagedAdamW32bit", groups, config)
