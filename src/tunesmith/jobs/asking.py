"""An authoring job as a run: its directory, its progress, what it spends, and its end."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from tunesmith.authoring.asking import Tally
from tunesmith.authoring.credentials import without_credentials
from tunesmith.authoring.journal import Journal, Spent
from tunesmith.authoring.options import JobOptions
from tunesmith.authoring.stop import Stop
from tunesmith.errors import UserError
from tunesmith.i18n import tr
from tunesmith.runs.files import replace_json, replace_text
from tunesmith.runs.layout import RunLayout, is_run
from tunesmith.runs.run import Run, flat_yaml

_PATHS = ("dataset_dir", "run_dir", "prompts")
_BAR_SECONDS = 0.2
_REPORT_SECONDS = 2.0
_LINE_SECONDS = 15.0
_POLL_SECONDS = 0.5


def run_directory(options: JobOptions) -> RunLayout:
    return RunLayout(Path(options.run_dir or Path("saves") / "data" / options.out))


def start_run(command: str, sources: list[str], options: JobOptions) -> Run:
    """The job's run, new or gone on with. UserError where the directory is another one's, or a process works there."""
    layout = run_directory(options)
    asked = {"command": command, "sources": [str(Path(source).absolute()) for source in sources], **asdict(options)}
    for name in _PATHS:
        asked[name] = asked[name] and str(Path(asked[name]).absolute())
    asked["base_url"] = without_credentials(options.base_url)
    resolved = flat_yaml(asked)
    if is_run(layout.root):
        if not layout.journal.is_file():
            raise UserError(
                f"{layout.root} holds a run of another kind.", hint="Choose another --run-dir.", field="run_dir"
            )
        run = Run.open(layout.root)
        run.begin_attempt(from_step=0)
        replace_text(layout.resolved, resolved)
    else:
        run = Run.create(layout.root, resolved, resolved, kind=command)
        run.begin_attempt()
    return run


@dataclass(frozen=True, slots=True)
class _Shown:
    """When something was shown last, and how many answers there were then."""

    time: float
    done: int = -1

    def is_due(self, done: int, now: float, seconds: float) -> bool:
        return done != self.done and now - self.time >= seconds


class Watch:
    """Shows how the asking goes (a bar with the time left on a terminal, plain lines elsewhere) and records it.

    A first Ctrl-C, terminate signal or stop file lets answers on their way come in, a second signal does not.
    """

    def __init__(self, run: Run, journal: Journal, options: JobOptions, console: Console) -> None:
        self.stop = Stop()
        self._run, self._journal, self._options, self._console = run, journal, options, console
        self._bar: Progress | None = None
        self._what, self._total, self._tally = "", 0, Tally()
        self._recorded = self._said = self._drawn = _Shown(time.monotonic())
        self._began = time.monotonic()
        self._previous: dict[int, Any] = {}
        self._awaits = False
        self._troubles, self._troubled = 0, -math.inf

    @property
    def interrupted(self) -> bool:
        return self.stop.asked > 0

    def say(self, text: str) -> None:
        """A line for the person and for the run's log."""
        self._console.print(Text(text))
        self._run.run_log(text)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Within this context Ctrl-C and the terminate signal ask the job to end."""
        in_main = threading.current_thread() is threading.main_thread()  # elsewhere signals can't be caught
        for each in (signal.SIGINT, signal.SIGTERM) if in_main else ():
            self._previous[each] = signal.signal(each, self._interrupt)
        try:
            yield
        finally:
            for number, handler in self._previous.items():
                signal.signal(number, handler)

    @contextmanager
    def asking(self, what: str, total: int) -> Iterator[Callable[[Tally], None]]:
        """Show one round of questions; yields what takes the tally after each."""
        self._what, self._total, self._tally = what, total, Tally()
        self._began = time.monotonic()
        self._recorded = self._said = self._drawn = _Shown(self._began)
        self._run.update(steps=total, step=0)
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                TextColumn(tr("left")), TimeRemainingColumn(), TextColumn("{task.fields[said]}"),
            )  # fmt: skip
            self._bar = Progress(*columns, console=self._console, speed_estimate_period=300)
            self._bar.add_task(what, total=total, said="")
            self._bar.start()
        self._awaits = True
        try:
            yield self._report
            self._show(last=True)
        finally:
            self._awaits = False
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    async def poll(self) -> None:
        """Until cancelled, look for the stop file, and show what came in while no further answer does."""
        try:
            while True:
                if self._run.stop_asked() and not self.stop.asked:
                    self.stop.ask()
                    self.say(tr("Stopping: answers on their way are awaited."))
                if self._awaits:
                    self._show()
                await asyncio.sleep(_POLL_SECONDS)
        except UserError as error:  # the run can't be written
            self.stop.fail(error)

    def trouble(self, reason: str, seconds: float) -> None:
        """A request is sent again in so many seconds: a line for the first of many, with how many there were since."""
        self._troubles += 1
        now = time.monotonic()
        if now - self._troubled < _LINE_SECONDS:
            return
        since = self._troubles - 1
        self._troubles, self._troubled = 0, now
        more = tr(" ({count} more since the last such line)").format(count=since) if since else ""
        self.say(tr("{reason}; sent again in {seconds:.0f} s").format(reason=reason, seconds=max(1.0, seconds)) + more)

    def _report(self, tally: Tally) -> None:
        self._tally = tally
        self._show()

    def _show(self, *, last: bool = False) -> None:
        """What has come in since it was last shown, where that is long enough ago."""
        done, now = self._tally.done, time.monotonic()
        last = last or done >= self._total
        self._run.update(step=done)
        recorded = self._recorded.is_due(done, now, 0.0 if last else _REPORT_SECONDS)
        said = self._bar is None and self._said.is_due(done, now, 0.0 if last else _LINE_SECONDS)
        drawn = self._bar is not None and self._drawn.is_due(done, now, 0.0 if last else _BAR_SECONDS)
        if not (recorded or said or drawn):
            return
        spent = self._journal.spent()
        failed = f" · {self._tally.failed} {tr('failed')}" if self._tally.failed else ""
        if self._bar is not None:
            self._drawn = _Shown(now, done)
            self._bar.update(self._bar.task_ids[0], completed=done, said=self.told(spent) + failed)
        if recorded:
            self._recorded = _Shown(now, done)
            self._run.metric(done, failed=self._tally.failed, **asdict(spent), **self.cost(spent))
        if said:
            self._said = _Shown(now, done)
            left = "" if done >= self._total else f" · {tr('left')} {self._left()}"
            self.say(f"{self._what} {done}/{self._total} · {self.told(spent)}{failed}{left}")

    def told(self, spent: Spent) -> str:
        """Tokens and money in words."""
        tokens = tr("{prompt:,} + {answers:,} tokens").format(
            prompt=spent.prompt_tokens, answers=spent.completion_tokens
        )
        money = self.cost(spent).get("money")
        return tokens if money is None else f"{tokens} · {money:,.4f}"

    def cost(self, spent: Spent) -> dict[str, float]:
        """{"money"} where prices are known."""
        if not (self._options.price_in or self._options.price_out):
            return {}
        return {"money": round(spent.money(self._options.price_in, self._options.price_out), 6)}

    def _left(self) -> str:
        fresh = self._tally.answered + self._tally.failed
        if not fresh:
            return "?"
        seconds = int((time.monotonic() - self._began) / fresh * (self._total - self._tally.done))
        return f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.stop.ask()
        if not self._awaits:  # documents are read, or rows written: nothing is on its way
            raise KeyboardInterrupt
        word = (
            tr("Stopping: answers on their way are awaited. Ctrl-C once more leaves them.")
            if self.stop.asked == 1
            else tr("Leaving.")
        )
        os.write(2, f"\n{word}\n".encode())  # what print uses may be in use where the signal came


@contextmanager
def recorded(run: Run, watch: Watch) -> Iterator[None]:
    """Whatever ends the job is written to the run before it goes on upwards."""
    try:
        yield
    except KeyboardInterrupt:
        run.finish("stopped", UserError("Stopped; what was answered is kept, the same command goes on."))
        raise
    except BaseException as error:
        run.finish("failed", error)
        raise
    if watch.interrupted:
        run.finish("stopped", UserError("Stopped; what was answered is kept, the same command goes on."))
        raise KeyboardInterrupt
    run.finish("finished")


def write_report(run: Run, report: Mapping[str, Any]) -> None:
    """What the job came to, for whoever looks at the run."""
    replace_json(run.layout.report, report)
    run.event("report", **report)
