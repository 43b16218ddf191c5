"""Runs as tables and curves on the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.cli.plot import draw
from tunesmith.cli.terminal import console, duration
from tunesmith.errors import UserError, did_you_mean
from tunesmith.i18n import tr, translated
from tunesmith.runs.read import RunReader, compare, curve, list_runs, seconds_left
from tunesmith.runs.state import RunState

_COLOURS = {"running": "green", "stopping": "yellow", "failed": "red", "killed": "red", "stopped": "yellow"}
_NOT_METRICS = frozenset({"step", "time", "attempt", "epoch"})


def list_all(root: Path | None) -> int:
    """A table of the runs under root, or of those that are found from the present folder."""
    from rich.markup import escape
    from rich.table import Table

    runs = list_runs(root)
    if not runs:
        print(tr("No runs under {root}. `tunesmith train` makes one; --root names another folder.").format(
            root=(root or Path()).resolve()
        ))  # fmt: skip
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("run", "state", "step", "loss", "eval loss", "left", "begun"):
        table.add_column(tr(title), overflow="fold")
    for run in runs:
        state, points = run.state(), run.metrics()
        last = last_values(points)
        left = seconds_left(state, points)
        table.add_row(
            escape(str(run.path)),
            _coloured(state.status),
            _steps(state),
            _number(last.get("loss")),
            _number(last.get("eval_loss")),
            duration(left) if left is not None else "",
            _moment(state.started or state.created),
        )
    console().print(table)
    return 0


def show(run: RunReader, key: str | None) -> int:
    """State, curve of one metric (the loss where there is one), last values, checkpoints."""
    from rich.markup import escape

    screen = console()
    state, points = run.state(), run.metrics()
    screen.print(f"[bold]{escape(str(run.path))}[/]")
    screen.print(" · ".join(_facts(state, points)))
    if state.error:
        screen.print(f"[red]{escape(translated(state.error['message']))}[/]")
        if state.error.get("hint"):
            screen.print(f"  → {escape(translated(state.error['hint']))}")
    _draw_curve(points, key)
    last = last_values(points)
    width = max(24, *(len(name) + 2 for name in last)) if last else 0
    for name, value in last.items():
        screen.print(f"  {escape(name):<{width}}{_number(value)}")
    for checkpoint in run.checkpoints():
        screen.print(f"  {tr('checkpoint')} {checkpoint.step:<13}{escape(str(checkpoint.path))}")
    return 0


def show_comparison(runs: Sequence[RunReader]) -> int:
    """The keys that differ between the runs' configurations, and their last metrics side by side."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for run in runs:
        table.add_column(escape(str(run.path)), overflow="fold")
    configurations = [_configuration(run) for run in runs]
    configured = {key for configuration in configurations for key in configuration}
    for difference in compare(*configurations):
        table.add_row(
            escape(difference.key), *("" if value is None else escape(str(value)) for value in difference.values)
        )
    table.add_section()
    table.add_row(tr("state"), *(_coloured(run.state().status) for run in runs))
    table.add_row(tr("step"), *(_steps(run.state()) for run in runs))
    values = [last_values(run.metrics()) for run in runs]
    for name in dict.fromkeys(name for last in values for name in last):
        told = tr("last {name}").format(name=name) if name in configured else name  # learning_rate is both
        table.add_row(escape(told), *(_number(last.get(name)) for last in values))
    console().print(table)
    return 0


def last_values(points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The newest value of each metric."""
    newest: dict[str, Any] = {}
    for point in points:
        newest.update({name: value for name, value in point.items() if name not in _NOT_METRICS})
    return newest


def _draw_curve(points: Sequence[Mapping[str, Any]], asked: str | None) -> None:
    key = asked or "loss"
    drawn = curve(points, key)
    if asked and not drawn and points and key not in (known := last_values(points)):
        raise UserError(
            f"This run has no metric {key!r}.",
            hint=did_you_mean(key, known) or f"It has: {', '.join(known)}.",
        )
    if len(drawn) < 2:  # one report is no curve; its value is told below
        return
    screen = console()
    width = max(20, min(100, screen.width - 14))
    title = tr("{key}, smoothed").format(key=key) if len(drawn) > 2 else key
    for line in [title, *draw([p.step for p in drawn], [p.smoothed for p in drawn], width=width)]:
        screen.print(line, markup=False)


def _facts(state: RunState, points: Sequence[Mapping[str, Any]]) -> list[str]:
    facts = [_coloured(state.status), tr("step {steps}").format(steps=_steps(state))]
    if state.epoch:
        facts.append(tr("epoch {epoch:.2f}").format(epoch=state.epoch))
    if state.started:
        until = state.ended or (time.time() if state.active else state.heartbeat)
        several = state.attempt > 1
        facts.append(
            tr(
                "{time} so far" if state.active else "{time} in attempt {number}" if several else "{time} in all"
            ).format(time=duration(until - state.started), number=state.attempt)
        )
    left = seconds_left(state, points)
    if left is not None:
        facts.append(tr("{time} left").format(time=duration(left)))
    if state.attempt > 1 and (state.active or not state.started):
        facts.append(tr("attempt {number}").format(number=state.attempt))
    return facts


def _configuration(run: RunReader) -> dict[str, Any]:
    import yaml

    try:
        config = yaml.safe_load(run.layout.resolved.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"Can't read {run.layout.resolved}: {error}") from error
    return config if isinstance(config, dict) else {}


def _coloured(status: str) -> str:
    colour = _COLOURS.get(status)
    return f"[{colour}]{tr(status)}[/]" if colour else tr(status)


def _steps(state: RunState) -> str:
    return f"{state.step}/{state.steps}" if state.steps else str(state.step)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
