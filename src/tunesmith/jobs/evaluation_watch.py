"""How an evaluation shows itself: on the terminal, in the run's log, state and metrics; and how it hears that it is to
end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tunesmith.i18n import tr
from tunesmith.runs.run import Run

_LINE_SECONDS = 10.0
_REPORT_SECONDS = 2.0
_POLL_SECONDS = 0.5


class EvaluationWatch:
    """A first Ctrl-C, terminate signal or stop file ends the evaluation where it is; a second signal at once."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._signals, self._stopped = 0, False
        self._looked = 0.0

    def say(self, text: str) -> None:
        """A line for the person and for the run's log."""
        try:
            self._console.print(text, markup=False)
        except OSError:  # the terminal is gone
            self._console.quiet = True
        self._run.run_log(text)

    def stopping(self) -> bool:
        """Whether somebody asked to end. Cheap enough to be asked at every token."""
        now = time.monotonic()
        if not self._stopped and (self._signals or now - self._looked >= _POLL_SECONDS):
            self._looked = now
            self._stopped = bool(self._signals) or self._run.stop_asked()
        return self._stopped

    def must_go_on(self) -> None:
        """KeyboardInterrupt where somebody asked to end."""
        if self.stopping():
            raise KeyboardInterrupt

    @contextmanager
    def counting(self, what: str, total: int, done: int, *, metrics: bool) -> Iterator[Counting]:
        """Show one part of the work. metrics: it is what the run's progress counts."""
        counting = Counting(self, self._run if metrics else None, self._console, what, total, done)
        try:
            yield counting
        finally:
            counting.close()

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:
            raise KeyboardInterrupt


class Counting:
    """One part of the work: a bar with the time left on a terminal, plain lines elsewhere."""

    def __init__(
        self, watch: EvaluationWatch, run: Run | None, console: Console, what: str, total: int, done: int
    ) -> None:
        self._watch, self._run, self._what = watch, run, what
        self._total, self._first, self._done = total, done, done
        self._began = self._said = self._reported = time.monotonic()
        self._tokens = 0
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                TextColumn(tr("left")), TimeRemainingColumn(), TextColumn("{task.fields[said]}"),
            )  # fmt: skip
            self._bar = Progress(*columns, console=console, transient=True, speed_estimate_period=120)
            self._bar.add_task(what, total=total, completed=done, said="")
            self._bar.start()

    def add(self, rows: int, tokens: int = 0) -> None:
        """So many rows more are done. tokens: of their answers."""
        self._done += rows
        self._tokens += tokens
        now = time.monotonic()
        pace = f"{self._tokens / max(now - self._began, 1e-9):,.0f} tokens/s" if self._tokens else ""
        last = self._done >= self._total
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done, said=pace)
        elif last or now - self._said >= _LINE_SECONDS:
            self._said = now
            left = tr("{left} left").format(left=self._left(now))
            self._watch.say("  ".join(filter(None, (f"{self._what} {self._done}/{self._total}", pace, left))))
        if self._run is not None:
            self._run.update(step=self._done)
            if last or now - self._reported >= _REPORT_SECONDS:
                self._reported = now
                speed = round(self._tokens / max(now - self._began, 1e-9), 1)
                self._run.metric(self._done, answered=self._done, tokens_per_second=speed)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _left(self, now: float) -> str:
        fresh = max(1, self._done - self._first)
        seconds = int((now - self._began) / fresh * (self._total - self._done))
        return f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
