"""A model opened for export, and how an export speaks; what its steps share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.export.weights import Source
    from tunesmith.text.template import ChatTemplate
    from tunesmith.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Opened:
    """A model ready to be exported. source.folder holds the tokenizer with the template it was trained with.

    exact: the same in float32, which GGUF files are made of: nothing is rounded twice. name: what files are called.
    """

    source: Source
    exact: Source
    tokenizer: Tokenizer
    template: ChatTemplate
    name: str
    folder: Path

    @property
    def bos(self) -> str:
        """What a runtime puts before every prompt by itself: the token that the tokenizer puts before a text."""
        return "".join(map(self.tokenizer.token_text, self.tokenizer.document_frame[0]))


def is_model(path: Path) -> bool:
    """Whether this is a folder or file that answers, and not an adapter alone."""
    return path.is_dir() or (path.suffix == ".gguf" and not path.name.endswith("-lora.gguf"))


def terminal() -> Console:
    """Where an export speaks."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


@contextmanager
def progress(console: Console, what: str) -> Iterator[Any]:
    """A bar with the time left on a terminal."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
