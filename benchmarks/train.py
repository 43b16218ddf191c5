"""LoRA training side by side: tokens per second, memory, and the losses step by step.

Both tools get the same YAML, model, data order, seed and first adapter. Each tool's thread count is chosen by a short
run of every count (for llamafactory with and without gradient checkpointing); then the chosen ones run in turn.
"""

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import measure
import numpy as np
import settings

LEFT_OUT = 2
"""Steps at the start that are not timed: memory is first touched and kernels are chosen there."""


@dataclass(frozen=True)
class Variant:
    """One way to run a tool: threads, and settings beside the common ones."""

    tool: str
    threads: int
    name: str = "as written"
    more: settings.Extra = ()

    @property
    def label(self) -> str:
        return f"{self.tool}, {self.name}, {self.threads} thread{'s' * (self.threads > 1)}"


@dataclass(frozen=True)
class Trained:
    """One run: seconds of wall and CPU of each timed step, all losses, peak memory and seconds of the whole process."""

    wall: list[float]
    cpu: list[float]
    losses: list[float]
    cost: measure.Cost


@dataclass(frozen=True)
class Figures:
    """A variant's runs: tokens/s of each (median is the figure), tokens per CPU second, useful GFLOP/s, peak in MiB."""

    variant: Variant
    speeds: list[float]
    tokens_per_cpu_second: float
    gflops: float
    peak_mib: float
    start_seconds: float
    losses: list[float]

    @property
    def tokens_per_second(self) -> float:
        return median(self.speeds)


@dataclass(frozen=True)
class StepWork:
    """What each step of the run holds: non-padding tokens and useful floating-point operations."""

    tokens: Sequence[int]
    flops: Sequence[float]


class Bench:
    """Runs variants and turns their logs into figures."""

    def __init__(self, work: Path, commands: Mapping[str, Path], step_work: StepWork) -> None:
        self.work, self.commands, self.step_work = work, commands, step_work

    def run(self, variant: Variant, *, steps: int) -> Trained:
        """Train once; the step times are the gaps between the lines of the tool's own log."""
        out = self.work / "runs" / variant.tool
        shutil.rmtree(out, ignore_errors=True)
        asked = settings.train_settings(self.work, steps=steps, out=out, **dict(variant.more))
        config = settings.write(self.work / "yaml" / f"{variant.tool}.yaml", asked)
        environment = {"OMP_NUM_THREADS": str(variant.threads), "HF_HUB_OFFLINE": "1",
                       "HF_HOME": str(self.work / "cache")}  # fmt: skip
        cost = measure.run(
            [self.commands[variant.tool], "train", config],
            environment=environment,
            log=out / "trainer_log.jsonl",
            output=self.work / "logs" / f"train_{variant.tool}.txt",
        )
        return read_log(cost, steps)

    def figures(self, variant: Variant, runs: Sequence[Trained]) -> Figures:
        """Medians over runs of one variant; all runs have the same steps."""
        timed = len(runs[0].wall)
        last = len(runs[0].losses)
        tokens, flops = (sum(column[last - timed : last]) for column in (self.step_work.tokens, self.step_work.flops))
        return Figures(
            variant,
            speeds=[tokens / sum(run.wall) for run in runs],
            tokens_per_cpu_second=median(tokens / sum(run.cpu) for run in runs),
            gflops=median(flops / sum(run.wall) for run in runs) / 1e9,
            peak_mib=median(run.cost.peak_mib for run in runs),
            start_seconds=median(run.cost.wall - sum(run.wall) for run in runs),
            losses=runs[0].losses,
        )

    def best(self, variants: Sequence[Variant], *, steps: int) -> Variant:
        """The variant with the most tokens per second in one short run each."""
        if len(variants) == 1:
            return variants[0]
        tried = [self.figures(variant, [self.run(variant, steps=steps)]) for variant in variants]
        for figures in tried:
            print(f"  {figures.variant.label}: {figures.tokens_per_second:.0f} tokens/s", flush=True)
        return max(tried, key=lambda figures: figures.tokens_per_second).variant

    def in_turn(self, variants: Sequence[Variant], *, steps: int, runs: int) -> list[Figures]:
        """Run the variants one after the other, `runs` times around."""
        seen: dict[Variant, list[Trained]] = {variant: [] for variant in variants}
        for _ in range(runs):
            for variant in variants:
                seen[variant].append(self.run(variant, steps=steps))
        return [self.figures(variant, trained) for variant, trained in seen.items()]


def read_log(cost: measure.Cost, steps: int) -> Trained:
    """Pair the arrivals of a run's log lines with its losses; a line with a loss is a step."""
    rows = [(tick, json.loads(tick.line)) for tick in cost.ticks]
    done = [(tick, row) for tick, row in rows if row.get("loss") is not None]
    numbers = [row["current_steps"] for _, row in done]
    if numbers != list(range(1, steps + 1)):
        raise RuntimeError(f"the run logged steps {numbers}, expected 1 to {steps}")
    pairs = list(pairwise(done))[LEFT_OUT - 1 :]
    wall = [after.wall - before.wall for (before, _), (after, _) in pairs]
    cpu = [after.cpu - before.cpu for (before, _), (after, _) in pairs]
    return Trained(wall, cpu, [float(row["loss"]) for _, row in done], cost)


def step_work(
    lengths: np.ndarray, trained: np.ndarray, *, batch: int, flops: Callable[[np.ndarray, np.ndarray], float]
) -> StepWork:
    """Cut rows into steps of `batch` rows in file order: `lengths` and `trained` int[rows]."""
    borders = range(0, len(lengths) - batch + 1, batch)
    return StepWork(
        tokens=[int(lengths[i : i + batch].sum()) for i in borders],
        flops=[flops(lengths[i : i + batch], trained[i : i + batch]) for i in borders],
    )


def largest_gap(one: Sequence[float], other: Sequence[float]) -> float:
    """The largest absolute difference between two loss curves of equal length."""
    gap = max(abs(a - b) for a, b in zip(one, other, strict=True))
    return math.inf if math.isnan(gap) else gap
