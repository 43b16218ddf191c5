"""Lines that say pass, warn or fail with the fix: what `doctor` and `plan` print."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.finding import Finding
from tunesmith.i18n import translated

_MARKS = {"pass": "[green]pass[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


def print_lines(lines: Sequence[Finding]) -> int:
    """Print the lines and return the exit code: 1 when one fails."""
    from rich.cells import cell_len, set_cell_size
    from rich.markup import escape

    from tunesmith.cli.terminal import console

    screen = console()
    subjects = [translated(line.what) for line in lines]
    width = max(map(cell_len, subjects), default=0)
    for line, subject in zip(lines, subjects, strict=True):
        screen.print(
            f"{_MARKS[line.status]}  {escape(set_cell_size(subject, width))}  {escape(translated(line.detail))}"
        )
        if line.fix and line.status != "pass":
            screen.print(f"{'':<{width + 8}}→ {escape(translated(line.fix))}")
    return 1 if any(line.status == "fail" for line in lines) else 0
