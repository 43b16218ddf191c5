"""One report of the loop, rewritten in the keys of LLaMA-Factory's trainer_log.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

# Our metric → its key. A metric not named here stays in metrics.jsonl only.
_KEYS = {
    "loss": "loss",
    "eval_loss": "eval_loss",
    "learning_rate": "lr",
    "epoch": "epoch",
    "tokens_per_second": "throughput",
    "tokens": "total_tokens",
    "accuracy": "accuracy",
    "reward": "reward",
}


def trainer_log_line(
    step: int, steps: int | None, values: Mapping[str, Any], elapsed: float, first: int
) -> dict[str, Any]:
    """The line for one report.

    elapsed: seconds since this attempt began. first: the step it continued from, so that a resumed run's remaining
    time is not reckoned from steps that another attempt took.
    """
    line: dict[str, Any] = {"current_steps": step}
    if steps:
        line["total_steps"] = steps
    line.update({theirs: values[ours] for ours, theirs in _KEYS.items() if ours in values})
    line["elapsed_time"] = _clock(elapsed)
    if steps:
        line["percentage"] = round(100 * step / steps, 2)
        taken = step - first
        line["remaining_time"] = _clock(elapsed / taken * (steps - step)) if taken > 0 else ""
    return line


def _clock(seconds: float) -> str:
    """As LLaMA-Factory writes times: 0:01:07, from a day on `1 day, 0:00:00`."""
    return str(timedelta(seconds=int(seconds)))
