"""Evaluation: the objective's loss and metrics over held-out rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from tunesmith.batch import Batch, Scores
from tunesmith.models import attention
from tunesmith.models.score import Scorer, causal_model, check_layout
from tunesmith.objectives.base import Objective


class Scoring(Protocol):
    """What an evaluation needs of an engine."""

    @property
    def scorer(self) -> nn.Module: ...

    @property
    def device(self) -> torch.device: ...

    def score(self, batch: Batch) -> Scores: ...

    def total(self, *values: float) -> tuple[float, ...]: ...


class Alone:
    """A model that is evaluated and not trained, by one process."""

    def __init__(self, scorer: Scorer, device: torch.device) -> None:
        self.scorer: nn.Module = scorer.eval()
        self.device = device

    def score(self, batch: Batch) -> Scores:
        scores: Scores = self.scorer(batch)
        return scores

    def total(self, *values: float) -> tuple[float, ...]:
        return values


@contextmanager
def scoring(model: PreTrainedModel | PeftModel, vocabulary: int, note: Callable[[str], None]) -> Iterator[Alone]:
    """A model that was loaded to answer, laid out for scoring; afterwards it answers again.

    vocabulary: how many tokens its tokenizer knows.
    """
    causal: Any = causal_model(model)
    before = causal.config._attn_implementation
    attention.register()
    if before == "sdpa":
        with suppress(ValueError):
            causal.set_attn_implementation(attention.ATTENTION_NAME)
    try:
        layout, reason = check_layout(model, min(vocabulary, int(model.get_input_embeddings().weight.shape[0])))
        if reason:
            note(f"Note: {reason}.")
            causal.set_attn_implementation(before)
        yield Alone(Scorer(model, layout), model.device)
    finally:
        causal.set_attn_implementation(before)


def evaluate(
    engine: Scoring, objective: Objective, sets: Mapping[str, Callable[[], Iterable[Batch]]]
) -> dict[str, float]:
    """eval_loss, eval_perplexity and the objective's metrics over every set, by token; with several sets also each
    set's own as eval_<set>_loss. sets: name → a function that yields this rank's batches."""
    values: dict[str, float] = {}
    overall: dict[str, tuple[float, float]] = {}
    for name, batches in sets.items():
        sums = _sums(engine, objective, batches())
        if len(sets) > 1:
            values |= {f"eval_{name}_{key}": value / max(count, 1e-12) for key, (value, count) in sums.items()}
        for key, (value, count) in sums.items():
            before = overall.get(key, (0.0, 0.0))
            overall[key] = (before[0] + value, before[1] + count)
    means = {f"eval_{key}": value / max(count, 1e-12) for key, (value, count) in overall.items()}
    return means | {"eval_perplexity": math.exp(min(means["eval_loss"], 80.0))} | values


@torch.no_grad()
def _sums(engine: Scoring, objective: Objective, batches: Iterable[Batch]) -> dict[str, tuple[float, float]]:
    trains = engine.scorer.training
    engine.scorer.eval()
    totals: dict[str, tuple[float, float]] = {"loss": (0.0, 0.0)}
    try:
        for batch in batches:
            on_device = batch.to(engine.device)
            loss = objective.loss(engine.score(on_device), on_device)
            parts = {"loss": (float(loss.value), objective.count(batch)), **loss.metrics}
            for key, (value, count) in parts.items():
                before = totals.get(key, (0.0, 0.0))
                totals[key] = (before[0] + value, before[1] + count)
    finally:
        engine.scorer.train(trains)
    summed = {}
    for key in sorted(totals):
        value, count = engine.total(*totals[key])
        summed[key] = (value, count)
    return summed
