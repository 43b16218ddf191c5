"""What a person sees of a running training, and what the run directory keeps of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FrameType

import psutil
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from torch import Tensor

from tunesmith.batch import LossSum
from tunesmith.i18n import translated
from tunesmith.runs.run import Run
from tunesmith.runs.signals import ENDING, handled
from tunesmith.training.checkpoints import Pending
from tunesmith.training.checkpoints import Progress as TrainingProgress
from tunesmith.training.engine import Engine


class Meter:
    """Sums of the losses and metrics between two log lines, over all ranks."""

    def __init__(self, engine: Engine, pending: Pending | None = None) -> None:
        """pending: what an earlier attempt had counted since its last log line."""
        self._engine = engine
        self._sum: Tensor | float = 0.0
        self._losses: list[float] = []
        self._sums: dict[str, tuple[float, float]] = {}
        self._reset()
        if pending is not None:
            self._losses.extend(pending["losses"])
            self._sums = {name: (value, count) for name, (value, count) in pending["sums"].items()}

    def pending(self) -> Pending:
        """What a resumed run has to know to log the same."""
        return {"losses": list(self._losses), "sums": {name: list(pair) for name, pair in self._sums.items()}}

    def add(self, loss: LossSum) -> None:
        self._sum = self._sum + loss.value.detach()
        for name, (value, count) in loss.metrics.items():
            before = self._sums.get(name, (0.0, 0.0))
            self._sums[name] = (before[0] + value, before[1] + count)

    def close_step(self, count: float, tokens: float) -> float:
        """End of an optimizer step: count divides its loss, tokens counts towards the speed (both over all ranks).

        Returns the loss of the step.
        """
        (total,) = self._engine.total(float(self._sum))
        self._losses.append(total / max(count, 1e-12))
        self._tokens += tokens
        self._sum = 0.0
        return self._losses[-1]

    def take(self) -> dict[str, float]:
        """Values since the last call: mean loss per step, metrics, tokens_per_second, memory in GB."""
        values = {"loss": sum(self._losses) / len(self._losses)}
        for name, pair in sorted(self._sums.items()):
            value, count = self._engine.total(*pair)
            values[name] = value / max(count, 1.0)
        values["tokens_per_second"] = self._tokens / max(time.perf_counter() - self._since, 1e-9)
        values["memory_gb"] = memory_gb(self._engine.world.device)
        self._reset()
        return values

    def _reset(self) -> None:
        self._losses, self._sums = [], {}
        self._tokens = 0.0
        self._since = time.perf_counter()


def memory_gb(device: torch.device) -> float:
    """Peak memory of the device in GB, of this process where the device is the CPU (then its present size)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return float(psutil.Process().memory_info().rss) / 1e9


class _Terminal(Console):
    """A console whose reader may leave, as `head` does: from then on it is silent, and the training goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Speaker:
    """What a person reads, on the terminal and in the run's log. run: None in processes that keep silent."""

    def __init__(self, run: Run | None) -> None:
        self._run = run
        self.console = _Terminal(file=sys.stderr, highlight=False, quiet=run is None, soft_wrap=True)

    def say(self, text: str | Text) -> None:
        """A line for the person and for the log."""
        try:
            self.console.print(translated(text) if isinstance(text, str) else text, markup=False)
        except OSError:  # the terminal is gone
            self.console.quiet = True
        self.log_only(str(text))

    def log_only(self, text: str) -> None:
        if self._run is not None:
            self._run.run_log(text)

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """A bar with the time left, for work that is counted in bytes; yields report(done, total)."""
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


class Watch:
    """The live view (a bar with the time left on a terminal, plain lines elsewhere), the run's metrics, and signals.

    A first Ctrl-C (or a terminate signal) asks the loop to save and end, a second one ends at once. Use as a context.
    """

    def __init__(self, run: Run, engine: Engine, speaker: Speaker, total_steps: int, start_step: int) -> None:
        self._run, self._engine, self._total, self._start = run, engine, total_steps, start_step
        self._speaker = speaker
        self._console = speaker.console
        self._bar: Progress | None = None
        self._began = time.monotonic()
        self._held = ExitStack()
        self._tracker_failed = False
        self.last: dict[str, float] = {}
        self._asked = False
        self._signals = 0

    def __enter__(self) -> Watch:
        self._held.enter_context(handled(self._interrupt, *ENDING))
        if self._engine.world.is_main and self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[said]}"),
            )  # fmt: skip
            self._bar = Progress(*columns, console=self._console, speed_estimate_period=120)
            self._task = self._bar.add_task("training", total=self._total, completed=self._start, said="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._held.close()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:
            raise KeyboardInterrupt

    def stop_asked(self) -> bool:
        """Whether a signal or the run's stop file asks to save and end."""
        if not self._asked and (self._signals or self._run.stop_asked()):
            self._asked = True
            again = " Ctrl-C once more stops at once, and loses it." if self._signals else ""
            self.say(f"Stopping as asked: this step is saved first.{again}")
        return self._asked

    def tick(self, step: int, epoch: float) -> None:
        """An optimizer step is done."""
        if self._engine.world.is_main:
            self._run.update(step=step, epoch=round(epoch, 4))
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def say(self, text: str) -> None:
        """A line for the person and for the run's log."""
        self._speaker.say(text)

    def log(self, step: int, epoch: float, progress: TrainingProgress, values: Mapping[str, float]) -> None:
        """One report of training."""
        self._record(
            step, {**values, "epoch": round(epoch, 4), "tokens": progress.tokens, "trained_tokens": progress.trained}
        )
        said = f"loss {values['loss']:.4f}  {values['tokens_per_second']:,.0f} tokens/s"
        if self._bar is not None:
            self._bar.update(self._task, said=said)
        rate, left = f"lr {values['learning_rate']:.2e}", self._left(step)
        line = f"step {step}/{self._total}  epoch {epoch:.2f}  {said}  {rate}  left {left}"
        if self._bar is None:
            self._speaker.say(line)
        else:
            self._speaker.log_only(line)

    def evaluated(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """One evaluation."""
        self._record(step, {**values, "epoch": round(epoch, 4)})
        told = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        self.say(f"step {step}/{self._total}  evaluation: {told}")

    def _record(self, step: int, values: Mapping[str, float]) -> None:
        self.last |= values
        if not self._engine.world.is_main:
            return
        self._run.metric(step, **values)
        try:
            self._engine.track(values, step)
        except Exception as error:  # a tracker is a guest: whatever it raises, training goes on
            if not self._tracker_failed:
                self._tracker_failed = True
                self._run.event("warning", message=f"a tracker failed: {error}")
                self.say(f"Warning: a tracker of report_to failed ({error}); training goes on without it.")

    def _left(self, step: int) -> str:
        done = step - self._start
        seconds = int((time.monotonic() - self._began) / max(done, 1) * (self._total - step))
        return f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
