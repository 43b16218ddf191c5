"""The recipe: what happens in a training run, top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from tunesmith.batch import Batch
from tunesmith.errors import UserError
from tunesmith.objectives.base import Objective
from tunesmith.training.checkpoints import Progress
from tunesmith.training.engine import Engine
from tunesmith.training.report import Meter, Watch


class Steps(Protocol):
    """The micro-batches of each optimizer step, this rank's share; a pure function of the step's number (from 0)."""

    def step(self, number: int) -> list[Batch]: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """When things are due, in optimizer steps; 0 = never. total: the last step. save_best: save after each evaluation
    that is the best so far. patience: evaluations without a better one before the run ends. metric: the watched value,
    lower_is_better its direction."""

    total: int
    steps_per_epoch: float
    log_every: int
    save_every: int
    eval_every: int
    log_first: bool = False
    save_best: bool = False
    patience: int = 0
    metric: str = "eval_loss"
    lower_is_better: bool = True

    def due(self, every: int, step: int) -> bool:
        return bool(every) and step % every == 0


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the loop asks of the house: write a checkpoint, evaluate (name → value)."""

    save: Callable[[Progress], None]
    evaluate: Callable[[], dict[str, float]]


def train(
    engine: Engine, objective: Objective, steps: Steps, plan: Plan, hooks: Hooks, watch: Watch, start: Progress
) -> tuple[Progress, Literal["finished", "stopped"]]:
    """Train from `start` to the end of the plan, or until asked to stop.

    Returns the progress and how it ended: "finished" or "stopped". Raises UserError when the loss is not a number.
    """
    progress, saved = start, start.step
    meter = Meter(engine, start.pending)
    for step in range(start.step + 1, plan.total + 1):
        engine.seed(step)
        batches = steps.step(step - 1)
        count, tokens, trained = engine.total(
            sum(objective.count(batch) for batch in batches),
            sum(batch.tokens for batch in batches),
            sum(batch.trained for batch in batches),
        )
        # A step whose rows carry no loss at all still counts: its gradient is zero, not a division by it.
        for batch in engine.moved(batches):
            loss = objective.loss(engine.score(batch), batch)
            engine.backward(loss.value / max(count, 1e-12))
            meter.add(loss)
        learning_rate, norm = engine.learning_rate, engine.step()
        progress = replace(
            progress, step=step, tokens=progress.tokens + int(tokens), trained=progress.trained + int(trained)
        )
        step_loss = meter.close_step(count, tokens)
        _must_be_finite(step_loss, step)
        if not engine.scales_loss:  # with loss scaling a step may overflow, and is skipped
            _must_be_finite(norm, step)
        progress = replace(progress, loss_sum=progress.loss_sum + step_loss)

        epoch = step / plan.steps_per_epoch
        watch.tick(step, epoch)
        if plan.due(plan.log_every, step) or step == plan.total or (plan.log_first and step == 1):
            watch.log(step, epoch, progress, meter.take() | {"learning_rate": learning_rate, "grad_norm": norm})
        (stopping,) = engine.total(float(watch.stop_asked()))  # asked of any rank, all ranks stop
        if plan.due(plan.eval_every, step):
            values = hooks.evaluate()
            progress = _judge(progress, values, plan)
            engine.evaluated(values[plan.metric])
            watch.evaluated(step, epoch, values)
        better = plan.save_best and progress.best_step == step
        if plan.due(plan.save_every, step) or better:
            hooks.save(replace(progress, pending=meter.pending()))
            saved = step
        if stopping:
            if saved != step:
                hooks.save(replace(progress, pending=meter.pending()))
            return progress, "stopped"
        if plan.patience and progress.stale >= plan.patience:
            watch.say(f"No better {plan.metric} in {progress.stale} evaluations: the run ends early at step {step}.")
            break
    return replace(progress, pending=meter.pending()), "finished"


def _judge(progress: Progress, values: Mapping[str, float], plan: Plan) -> Progress:
    value = values.get(plan.metric)
    if value is None:
        known = ", ".join(sorted(values))
        raise UserError(
            f"metric_for_best_model: {plan.metric!r} is not among the values of an evaluation.",
            hint=f"There are: {known}.",
            field="metric_for_best_model",
        )
    better = progress.best is None or (value < progress.best if plan.lower_is_better else value > progress.best)
    if better and not math.isnan(value):
        return replace(progress, best=value, best_step=progress.step, stale=0)
    return replace(progress, stale=progress.stale + 1)


def _must_be_finite(value: float, step: int) -> None:
    if math.isfinite(value):
        return
    raise UserError(
        f"The loss or its gradient is not a number any more at step {step}: the training has diverged.",
        hint="Checkpoints written before are intact. Lower learning_rate, set max_grad_norm: 1.0, add "
        "warmup_ratio: 0.1, or use bf16 in place of fp16; `tunesmith data check` finds odd rows.",
    )
