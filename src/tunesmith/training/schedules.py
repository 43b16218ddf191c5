"""Learning-rate schedules: transformers' names and formulas, stepped once per optimizer step."""

from __future__ import annotations

import math

import torch
from transformers import get_scheduler

from tunesmith.config import OptimizerConfig
from tunesmith.errors import UserError
from tunesmith.training.engine import Schedule


def warmup_steps(config: OptimizerConfig, total_steps: int) -> int:
    """warmup_steps where set (a number below 1 is a share), else warmup_ratio of the whole, rounded up.

    A run of a single step has none: at the rate that a warm-up begins with, zero, nothing would be trained.
    """
    if total_steps <= 1:
        return 0
    if config.warmup_steps:
        return math.ceil(config.warmup_steps * total_steps) if config.warmup_steps < 1 else int(config.warmup_steps)
    return math.ceil(total_steps * config.warmup_ratio)


def follows_evaluation(config: OptimizerConfig) -> bool:
    """Whether the schedule moves with the evaluation's value, not with steps."""
    return config.lr_scheduler_type == "reduce_lr_on_plateau"


def build_schedule(config: OptimizerConfig, optimizer: torch.optim.Optimizer, total_steps: int) -> Schedule:
    """The schedule named lr_scheduler_type over total_steps; UserError for arguments it does not take."""
    warmup = warmup_steps(config, total_steps)
    extra = dict(config.lr_scheduler_kwargs or {})
    if config.lr_scheduler_type == "warmup_stable_decay" and "num_decay_steps" not in extra:
        # A third of what follows the warm-up decays, the rest is stable.
        extra["num_decay_steps"] = (total_steps - warmup) // 3
        extra.setdefault("num_stable_steps", total_steps - warmup - extra["num_decay_steps"])
    try:
        schedule: Schedule = get_scheduler(
            config.lr_scheduler_type,
            optimizer,
            num_warmup_steps=warmup,
            num_training_steps=None if "num_stable_steps" in extra else total_steps,
            scheduler_specific_kwargs=extra,
        )
    except (TypeError, ValueError) as error:
        raise UserError(
            f"lr_scheduler_kwargs {extra} do not fit the schedule {config.lr_scheduler_type!r}: {error}.",
            hint="See transformers' page on schedules for the names each takes.",
            field="lr_scheduler_kwargs",
        ) from error
    return schedule
