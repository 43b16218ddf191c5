"""Supervised fine-tuning and continued pre-training: the weights alone decide what is trained."""

from __future__ import annotations

from tunesmith.batch import Batch, LossSum, Scores
from tunesmith.objectives.base import OBJECTIVES


@OBJECTIVES.member("sft", "pt")
class NextToken:
    """Weighted negative log-likelihood of the next token, in nats; metric `accuracy`: share predicted exactly."""

    def count(self, batch: Batch) -> float:
        return float(batch.weights.sum())

    def loss(self, scores: Scores, batch: Batch) -> LossSum:
        value = -(scores.logprobs * scores.weights).sum()
        return LossSum(value, {"accuracy": (float(scores.correct.sum()), float(len(scores.correct)))})
