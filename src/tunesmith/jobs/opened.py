"""A model opened for export, and how an export speaks; what its steps share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.config import Job
from tunesmith.i18n import tr
from tunesmith.jobs.stages import Stages

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.export.weights import Source
    from tunesmith.text.template import ChatTemplate
    from tunesmith.text.tokenizer import Tokenizer

_EVERY = 10.0  # seconds between two lines where no bar can move


@dataclass(frozen=True, slots=True)
class Opened:
    """A model ready to be exported. source.folder holds the tokenizer with the template it was trained with.

    exact: the same in float32, which GGUF files are made of: nothing is rounded twice. name: what files are called.
    stages: how far what is done with it is.
    """

    source: Source
    exact: Source
    tokenizer: Tokenizer
    template: ChatTemplate
    name: str
    folder: Path
    stages: Stages

    @property
    def bos(self) -> str:
        """What a runtime puts before every prompt by itself: the token that the tokenizer puts before a text."""
        return "".join(map(self.tokenizer.token_text, self.tokenizer.document_frame[0]))


def targets(job: Job) -> tuple[str, ...]:
    """What is written: what was asked for, or what the other keys ask for."""
    asked = job.export
    return asked.export_to or (("gguf",) if asked.export_quant or asked.export_ollama else ("safetensors",))


def is_model(path: Path) -> bool:
    """Whether this is a folder or file that answers, and not an adapter alone."""
    return path.is_dir() or (path.suffix == ".gguf" and not path.name.endswith("-lora.gguf"))


def size_text(size: float) -> str:
    """Bytes as people say them: 350 MB, 4.2 GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def terminal() -> Console:
    """Where an export speaks."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


@contextmanager
def progress(console: Console, stages: Stages, what: str, clock: Callable[[], float] = time.monotonic) -> Iterator[Any]:
    """A bar with the time left on a terminal; elsewhere a line every ten seconds. Yields report(done, total)."""
    stages.begin(what)
    if not console.is_terminal:
        lines = _Lines(console, what, clock)

        def report(done: int, total: int) -> None:
            lines(done, total)
            stages.report(done, total)

        yield report
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Lines:
    """How far something is, for a log: nothing of what is quick."""

    def __init__(self, console: Console, what: str, clock: Callable[[], float]) -> None:
        self._console, self._what, self._clock = console, what, clock
        self._began = self._said = clock()

    def __call__(self, done: int, total: int) -> None:
        now = self._clock()
        if now - self._said < _EVERY or not 0 < done < total:
            return
        self._said = now
        left = (now - self._began) / done * (total - done)
        line = tr("{what}  {share:.0%}, {done} of {total}, about {left:.0f} s left").format(
            what=self._what, share=done / total, done=size_text(done), total=size_text(total), left=left
        )
        self._console.print(line, markup=False)
