"""An authoring job as a run: its directory, its progress, what it spends, and its end."""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from tunesmith.authoring.prompting import is_style_file
from tunesmith.authoring.stop import Stop
from tunesmith.errors import UserError
from tunesmith.i18n import in_english, tr, translated
from tunesmith.runs.files import replace_json, replace_text, told_plainly
from tunesmith.runs.layout import RunLayout, is_run
from tunesmith.runs.run import Run, flat_yaml
from tunesmith.runs.signals import ENDING, handled

_FOLDERS = ("dataset_dir", "run_dir", "prompts")
_NAMES_OR_PATHS = frozenset({"model", "tokenizer"})
_BAR_SECONDS = 0.2
_REPORT_SECONDS = 2.0
_LINE_SECONDS = 15.0
_LONG_SECONDS = 60.0
_POLL_SECONDS = 0.5


def run_directory(options: JobOptions) -> RunLayout:
    return RunLayout(Path(options.run_dir or Path("saves") / "data" / options.out))


@contextmanager
def at_work(command: str, sources: Sequence[Path], options: JobOptions, console: Console) -> Iterator[Watch]:
    """The job as a run, new or gone on with, whose end is recorded whatever it is; signals ask it to end.

    UserError where the directory is another run's, or a process works there. Where nothing could be asked (there is no
    server, the key is refused) nothing stays of a directory that was made for it.
    """
    layout = run_directory(options)
    ours = not layout.root.exists()
    resolved = flat_yaml(_recorded_options(command, sources, options))
    earlier = Run.open(layout.root) if is_run(layout.root) else None
    if earlier is None:
        if not layout.only_launched():
            Run.refuse_if_used(layout.root, overwrite=False)
        with told_plainly(layout.root, "run_dir"):
            layout.root.mkdir(parents=True, exist_ok=True)
    elif earlier.state.kind != command:
        raise UserError(
            f"{layout.root} holds a run of another kind.", hint="Choose another --run-dir.", field="run_dir"
        )
    # The journal is there before the run, and one that can't be opened leaves the run as it was.
    asked = True
    try:
        with Journal(layout.journal) as journal:
            run = earlier or Run.create(layout.root, resolved, resolved, kind=command)
            run.begin_attempt(from_step=0)
            watch = Watch(run, journal, options, console)
            try:
                with _ending_recorded(watch), handled(watch.interrupt, *ENDING):
                    replace_text(layout.resolved, resolved)
                    yield watch
            finally:
                asked = bool(journal.extent()[1] or journal.spent().calls)
    except UserError:
        if ours and not asked:
            shutil.rmtree(layout.root, ignore_errors=True)
        raise


def _recorded_options(command: str, sources: Sequence[Path], options: JobOptions) -> dict[str, Any]:
    """What was asked for, such that it means the same from every folder; without what is secret."""
    asked = asdict(options)
    for name in _FOLDERS:
        asked[name] = asked[name] and _absolute(asked[name])
    for name in _NAMES_OR_PATHS & asked.keys():
        asked[name] = _absolute(asked[name]) if asked[name] and Path(asked[name]).expanduser().exists() else asked[name]
    if options.base_url:
        asked["model"] = options.model
    if "styles" in asked:
        asked["styles"] = [_absolute(each) if is_style_file(each) else each for each in asked["styles"]]
    asked["base_url"] = without_credentials(options.base_url)
    return {"command": command, "sources": [_absolute(source) for source in sources], **asked}


def _absolute(path: str | Path) -> str:
    return str(Path(path).expanduser().absolute())


def now_and_then(say: Callable[[str], None]) -> Callable[[str], None]:
    """Passes on what is said when nothing was for a while."""
    last = time.monotonic()

    def told(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_SECONDS:
            last = time.monotonic()
            say(text)

    return told


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
        self.run, self.journal = run, journal
        self._options, self._console = options, console
        self._bar: Progress | None = None
        self._what, self._total, self._tally = "", 0, Tally()
        self._recorded = self._said = self._drawn = _Shown(time.monotonic())
        self._began = time.monotonic()
        self._awaits = False
        self._written = 0
        self._troubles: dict[str, tuple[int, float]] = {}

    @property
    def interrupted(self) -> bool:
        return self.stop.asked > 0

    def say(self, line: str | Callable[[], str]) -> None:
        """A line for the person, and in English for the run's log.

        One that is put together of texts that are looked up one by one is given as what makes it.
        """
        self._console.print(Text(translated(line) if isinstance(line, str) else line()))
        with in_english():
            self.run.run_log(line if isinstance(line, str) else line())

    @contextmanager
    def asking(self, what: str, total: int) -> Iterator[Callable[[Tally], None]]:
        """Show one round of questions; yields what takes the tally after each. what: a word that `tr` knows."""
        self._what, self._total, self._tally = what, total, Tally()
        self._began = time.monotonic()
        self._recorded = self._said = self._drawn = _Shown(self._began)
        self.run.update(steps=total, step=0)
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                TextColumn(tr("left")), TimeRemainingColumn(), TextColumn("{task.fields[said]}"),
            )  # fmt: skip
            self._bar = Progress(*columns, console=self._console, speed_estimate_period=300)
            self._bar.add_task(tr(what), total=total, said="")
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
                if self.run.stop_asked() and not self.stop.asked:
                    self.stop.ask()
                    self.say("Stopping: answers on their way are awaited.")
                if self._awaits:
                    self._show()
                await asyncio.sleep(_POLL_SECONDS)
        except UserError as error:  # the run can't be written
            self.stop.fail(error)

    def writing(self, tokens: int) -> None:
        """How many tokens the answer has that a model of this machine writes."""
        self._written = tokens

    def trouble(self, reason: str, seconds: float) -> None:
        """A request is sent again in so many seconds: a line for the first of many, with how many there were since.

        Each kind of reason (what stands before a colon) is told by itself: one does not hide another.
        """
        kind, now = reason.partition(": ")[0], time.monotonic()
        since, last = self._troubles.get(kind, (0, -math.inf))
        if now - last < _LINE_SECONDS:
            self._troubles[kind] = since + 1, last
            return
        self._troubles[kind] = 0, now

        def line() -> str:
            told = tr("{reason}; sent again in {seconds:.0f} s")
            more = tr(" ({count} more since the last such line)").format(count=since) if since else ""
            return told.format(reason=translated(reason), seconds=max(1.0, seconds)) + more

        self.say(line)

    def _report(self, tally: Tally) -> None:
        self._tally = tally
        self._show()

    def _show(self, *, last: bool = False) -> None:
        """What has come in since it was last shown, where that is long enough ago."""
        done, now = self._tally.done, time.monotonic()
        last = last or done >= self._total
        self.run.update(step=done)
        recorded = self._recorded.is_due(done, now, 0.0 if last else _REPORT_SECONDS)
        overdue = bool(self._written) and now - self._said.time >= _LONG_SECONDS
        said = self._bar is None and (overdue or self._said.is_due(done, now, 0.0 if last else _LINE_SECONDS))
        seconds = 0.0 if last else _BAR_SECONDS
        drawn = self._bar is not None and (self._drawn.is_due(done, now, seconds) or self._written > 0)
        if not (recorded or said or drawn):
            return
        spent = self.journal.spent()
        if self._bar is not None:
            self._drawn = _Shown(now, done)
            self._bar.update(
                self._bar.task_ids[0], completed=done, said=self.told(spent) + self._failed() + self._growing()
            )
        if recorded:
            self._recorded = _Shown(now, done)
            self.run.metric(done, failed=self._tally.failed, **asdict(spent), **self.cost(spent))
        if said:
            self._said = _Shown(now, done)
            self.say(lambda: self._line(done, spent))

    def _line(self, done: int, spent: Spent) -> str:
        left = "" if done >= self._total else f" · {tr('left')} {self._left()}"
        return f"{tr(self._what)} {done}/{self._total} · {self.told(spent)}{self._failed()}{self._growing()}{left}"

    def _growing(self) -> str:
        tokens = self._written
        return f" · {tr('next answer: {tokens:,} tokens so far').format(tokens=tokens)}" if tokens else ""

    def _failed(self) -> str:
        return f" · {self._tally.failed} {tr('failed')}" if self._tally.failed else ""

    def told(self, spent: Spent) -> str:
        """Tokens and money in words."""
        tokens = tr("{prompt:,} tokens in, {answers:,} out").format(
            prompt=spent.prompt_tokens, answers=spent.completion_tokens
        )
        money = self.cost(spent).get("money")
        return tokens if money is None else f"{tokens} · {tr('{money:,.4f} spent').format(money=money)}"

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

    def interrupt(self, number: int, frame: FrameType | None) -> None:
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
def _ending_recorded(watch: Watch) -> Iterator[None]:
    """Whatever ends the job is written to the run before it goes on upwards."""
    run = watch.run
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
