"""Lines that say pass, warn or fail with the fix: what `doctor` and `plan` print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_MARKS = {"pass": "[green]pass[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


@dataclass(frozen=True, slots=True)
class Line:
    """How one thing stands: what was looked at, what was found, what to do about it."""

    status: Literal["pass", "warn", "fail"]
    what: str
    detail: str
    fix: str = ""


def print_lines(lines: Sequence[Line]) -> int:
    """Print the lines and return the exit code: 1 when one fails."""
    from rich.markup import escape

    from tunesmith.cli.terminal import console

    screen = console()
    width = max((len(line.what) for line in lines), default=0)
    for line in lines:
        screen.print(f"{_MARKS[line.status]}  {escape(line.what):<{width}}  {escape(line.detail)}")
        if line.fix and line.status != "pass":
            screen.print(f"{'':<{width + 8}}→ {escape(line.fix)}")
    return 1 if any(line.status == "fail" for line in lines) else 0
