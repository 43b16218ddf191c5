"""What an objective is: a pure function of log-probabilities."""

from __future__ import annotations

from typing import Protocol

from tunesmith.batch import Batch, LossSum, Scores
from tunesmith.registry import Registry


class Objective(Protocol):
    """One way to turn scores into a loss. The loop counts a whole optimizer step first, over all micro-batches and
    ranks, then divides each sum by that count: any split of a step gives the same gradient."""

    def count(self, batch: Batch) -> float:
        """What the sum of `loss` is divided by: trained tokens (weighted), or pairs."""
        ...

    def loss(self, scores: Scores, batch: Batch) -> LossSum:
        """The sum over the batch, with gradient."""
        ...


OBJECTIVES: Registry[type[Objective]] = Registry("objective", "tunesmith.objectives")
