"""Whether the answer is the one in the data, word for word."""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.evaluation.scoring import METRICS


@METRICS.member("exact_match")
def exact_match(predict: str, label: str) -> Mapping[str, float]:
    """White space at the ends and its amount between words aside."""
    return {"exact_match": 100.0 * (predict.split() == label.split())}
