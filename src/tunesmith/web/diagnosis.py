"""What a curve shows, in plain words: pure functions of its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel

from tunesmith.web.language import Told
from tunesmith.web.metrics import Columns, Series

Sign = Literal["not_a_number", "rate_too_high", "early_jump", "diverging", "overfitting", "good", "spike", "plateau"]
_ENOUGH = 20
"""Reports below which nothing is said of a curve's course."""
_OF_THE_RATE = frozenset({"not_a_number", "rate_too_high", "diverging"})
_HIGH_RATE = 1e-3
"""Few models are trained at more: a jump at such a rate is the rate's, not the data's."""
_JUMP = 1.0
"""Nats: where a loss is near zero, several times as much is next to nothing and a hard batch brings it."""


class Word(BaseModel):
    """sign: what it is, for translation; values: what the sentence names. step: where, best: the checkpoint to take."""

    sign: Sign
    level: Literal["info", "warning", "error"]
    message: Told
    fix: Told = ""
    step: int | None = None
    values: dict[str, float] = {}


def diagnose(columns: Columns, checkpoints: Sequence[int] = ()) -> list[Word]:
    """What is to be said of a run's curves, the gravest first, and nothing that the first word makes untrue.

    checkpoints: steps of those that are complete.
    """
    losses, evaluations = columns.series.get("loss"), columns.series.get("eval_loss")
    rates = columns.series.get("learning_rate")
    words: list[Word] = []
    if losses is not None and len(losses):
        words = of_loss(*losses.between(None, None), rate=_highest(rates))
    if any(word.sign in _OF_THE_RATE for word in words):
        return words
    if evaluations is not None and len(evaluations):
        held_out = of_evaluation(*evaluations.between(None, None), checkpoints)
        # Held-out rows decide whether it still learns, whatever the curve of the training does.
        words = [*held_out, *(word for word in words if not (held_out and word.sign == "plateau"))]
    if any(word.sign == "early_jump" for word in words):
        words = [word for word in words if word.sign != "good"]
    rank = {"error": 0, "warning": 1, "info": 2}
    return sorted(words, key=lambda word: rank[word.level])


def _highest(rates: Series | None) -> float:
    import numpy as np

    if rates is None or not len(rates):
        return 0.0
    return float(np.nan_to_num(rates.between(None, None)[1]).max())


def of_loss(steps: Any, values: Any, *, rate: float = 0.0) -> list[Word]:
    """steps: int64 [N], values: float64 [N] of the training loss, NaN where it was no number. rate: the highest
    learning rate.

    What lies in the learning rate stands alone, the gravest of it; else jumps and a standstill.
    """
    import numpy as np

    gaps = np.flatnonzero(~np.isfinite(values))
    if len(gaps):
        step = int(steps[gaps[0]])
        return [
            Word(
                sign="not_a_number", level="error", step=step, values={"step": step},
                message=f"From step {step} on the loss is no number: training has come apart.",
                fix="Resume from a checkpoint before it with a third of the learning rate; instead of fp16 try bf16.",
            )
        ]  # fmt: skip
    if len(values) < _ENOUGH:
        return []
    smooth = _smooth(values)
    noise = float(np.median(np.abs(values - smooth))) + 1e-6
    start = _start(values)
    fallen = min(start, float(np.median(values[: max(3, len(values) // 20)])))  # past the first steep steps
    return (
        _above_start(steps, values, smooth, start)
        or _early_jump(steps, values, start, rate)
        or _up_again(steps, smooth, fallen, noise)
        or [*_spikes(steps, values, smooth), *_plateau(steps, smooth, fallen, noise)]
    )


def _start(values: Any) -> float:
    """Where the loss began: usual for the first three reports, and the very first where it jumps at once. What comes
    later may be the jump itself."""
    import numpy as np

    usual = float(np.median(values[:3]))
    return float(values[0]) if usual > 2 * values[0] > 0 else usual


def _above_start(steps: Any, values: Any, smooth: Any, start: float) -> list[Word]:
    """A loss that is higher in its last quarter than where it began, beyond what it scatters there."""
    import numpy as np

    tail = slice(len(values) * 3 // 4, None)
    now, scatter = float(np.median(values[tail])), float(np.median(np.abs(values[tail] - smooth[tail])))
    if now <= max(1.1 * start, start + 4 * scatter):
        return []
    return [
        Word(
            sign="rate_too_high", level="error", step=int(steps[int(smooth.argmin())]),
            values={"start": start, "now": now},
            message=f"The loss is higher than at its start: it began at {start:.3g} and is {now:.3g}. "
            "The learning rate is too high.",
            fix="Start again with a third to a tenth of the learning rate, or give it a longer warmup.",
        )
    ]  # fmt: skip


def _early_jump(steps: Any, values: Any, start: float, rate: float) -> list[Word]:
    """Several times what it began at, and a jump by any measure, within the first third: in two reports on end, or in
    one at a high rate."""
    import numpy as np

    early = values[: max(_ENOUGH // 2, len(values) // 3)]
    high = early > max(3 * start, start + _JUMP)
    if not high.any() or (rate < _HIGH_RATE and not (high[1:] & high[:-1]).any()):
        return []
    at = int(np.argmax(early))
    step, value = int(steps[at]), float(early[at])
    return [
        Word(
            sign="early_jump", level="warning", step=step, values={"start": start, "step": step, "value": value},
            message=f"The loss began at {start:.3g} and jumped to {value:.3g} at step {step}. "
            "The learning rate is too high.",
            fix="Start again with a third to a tenth of the learning rate, or give it a longer warmup.",
        )
    ]  # fmt: skip


def _up_again(steps: Any, smooth: Any, start: float, noise: float) -> list[Word]:
    low_at = int(smooth.argmin())
    low, now, step = float(smooth[low_at]), float(smooth[-1]), int(steps[low_at])
    if now <= low + max(0.25 * (start - low), 0.15 * low, 6 * noise):
        return []
    return [
        Word(
            sign="diverging", level="warning", step=step, values={"step": step, "low": low, "now": now},
            message=f"Since step {step} the loss has gone up again, from {low:.3g} to {now:.3g}.",
            fix="Lower the learning rate, or give it a longer warmup.",
        )
    ]  # fmt: skip


def of_evaluation(steps: Any, values: Any, checkpoints: Sequence[int]) -> list[Word]:
    """steps: int64 [N], values: float64 [N] of the loss on held-out rows."""
    import numpy as np

    keep = np.isfinite(values)
    steps, values = steps[keep], values[keep]
    if len(values) < 3:
        return []
    best_at = int(values.argmin())
    best, now = float(values[best_at]), float(values[-1])
    step = int(steps[best_at])
    since = len(values) - 1 - best_at
    if since >= 2 and now > best * 1.02 + 1e-6 and now >= float(np.median(values[best_at:])):
        nearest = min(checkpoints, key=lambda at: abs(at - step), default=None)
        taken = f"Take checkpoint {nearest}. " if nearest is not None else ""
        return [
            Word(
                sign="overfitting", level="warning", step=step,
                values={"step": step, "best": best, "now": now, "checkpoint": nearest or step},
                message=f"The loss on held-out rows was lowest at step {step} ({best:.3g}) and has risen to {now:.3g}: "
                "the model begins to learn by heart.",
                fix=f"{taken}Train fewer epochs, or set load_best_model_at_end: true.",
            )
        ]  # fmt: skip
    lately = float(values[-1 - max(1, len(values) // 3)])
    if best_at == len(values) - 1 and best < 0.98 * float(values[0]) and best < 0.995 * lately:
        return [
            Word(
                sign="good", level="info", step=step, values={"step": step, "best": best},
                message=f"The loss on held-out rows is at its lowest ({best:.3g}): it still learns.",
            )
        ]  # fmt: skip
    return []


def _spikes(steps: Any, values: Any, smooth: Any) -> list[Word]:
    """A loss far above those around it, compared with how far they usually lie apart."""
    import numpy as np

    before = np.concatenate([[smooth[0]], smooth[:-1]])
    above = values - before
    usual = np.median(np.abs(above)) * 1.4826 + 1e-6
    skipped = max(3, len(values) // 50)  # the first steps fall steeply
    high = np.flatnonzero((above > 8 * usual) & (values > 1.5 * before))
    high = high[high >= skipped]
    if not len(high):
        return []
    worst = int(high[above[high].argmax()])
    step, value = int(steps[worst]), float(values[worst])
    return [
        Word(
            sign="spike", level="info" if len(high) == 1 else "warning", step=step,
            values={"count": len(high), "step": step, "value": value},
            message=f"The loss jumped {len(high)} × (highest at step {step}: {value:.3g}) and came back.",
            fix="Look for odd rows in the data (data check), or lower max_grad_norm.",
        )
    ]  # fmt: skip


def _plateau(steps: Any, smooth: Any, start: float, noise: float) -> list[Word]:
    """Whether the last two fifths brought next to nothing."""
    import numpy as np

    if len(smooth) < 3 * _ENOUGH:
        return []
    at = len(smooth) * 3 // 5
    earlier, later = smooth[at : at + len(smooth) // 5], smooth[at + len(smooth) // 5 :]
    gained = float(np.mean(earlier) - np.mean(later))
    if gained > max(0.01 * abs(float(np.mean(earlier))), 0.02 * abs(start - float(smooth[-1])), 0.2 * noise):
        return []
    since = int(steps[at])
    return [
        Word(
            sign="plateau", level="info", step=since, values={"step": since, "loss": float(np.mean(later))},
            message=f"Since about step {since} the loss has hardly changed ({float(np.mean(later)):.3g}).",
            fix="It has learned what it can at this rate: stop here, or add data rather than epochs.",
        )
    ]  # fmt: skip


def _smooth(values: Any) -> Any:
    """A mean over a window of a fortieth of the curve (5 … 2000 points), without shifting it."""
    import numpy as np

    width = min(2000, max(5, len(values) // 40)) | 1
    padded = np.pad(values, width // 2, mode="edge")
    sums = np.cumsum(np.concatenate([[0.0], padded]))
    return (sums[width:] - sums[:-width]) / width
