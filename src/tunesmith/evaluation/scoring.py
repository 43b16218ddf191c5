"""How an answer is scored against the one in the data: every metric is a function of the two texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tunesmith.registry import Registry

Metric = Callable[[str, str], Mapping[str, float]]
"""(what was answered, what stands in the data) → scores from 0 to 100, more being better, by their names."""

METRICS: Registry[Metric] = Registry("metric", "tunesmith.evaluation.metrics")


def score(predict: str, label: str) -> dict[str, float]:
    """The scores of one answer, by all metrics, rounded to four places as LLaMA-Factory writes them."""
    return {name: round(value, 4) for _, metric in METRICS for name, value in metric(predict, label).items()}
