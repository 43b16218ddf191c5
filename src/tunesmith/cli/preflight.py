"""Lines that say pass, warn or fail with the fix: what `doctor` and `plan` print."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.finding import Finding

_MARKS = {"pass": "[green]pass[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


def print_lines(lines: Sequence[Finding]) -> int:
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
