"""Evaluation: the objective's loss and metrics over held-out rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import torch

from tunesmith.batch import Batch
from tunesmith.objectives.base import Objective
from tunesmith.training.engine import Engine


def evaluate(
    engine: Engine, objective: Objective, sets: Mapping[str, Callable[[], Iterable[Batch]]]
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
def _sums(engine: Engine, objective: Objective, batches: Iterable[Batch]) -> dict[str, tuple[float, float]]:
    engine.scorer.eval()
    totals: dict[str, tuple[float, float]] = {"loss": (0.0, 0.0)}
    try:
        for batch in batches:
            on_device = batch.to(engine.world.device)
            loss = objective.loss(engine.score(on_device), on_device)
            parts = {"loss": (float(loss.value), objective.count(batch)), **loss.metrics}
            for key, (value, count) in parts.items():
                before = totals.get(key, (0.0, 0.0))
                totals[key] = (before[0] + value, before[1] + count)
    finally:
        engine.scorer.train()
    summed = {}
    for key in sorted(totals):
        value, count = engine.total(*totals[key])
        summed[key] = (value, count)
    return summed
