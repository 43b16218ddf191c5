"""`tunesmith runs`: what was trained, how it goes, how runs differ, and stopping and resuming them."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from tunesmith.cli.options import Options
from tunesmith.cli.runs_show import list_all, show, show_comparison
from tunesmith.config.legacy import EVAL
from tunesmith.errors import UserError, did_you_mean
from tunesmith.i18n import tr
from tunesmith.runs.further import way_further
from tunesmith.runs.read import RunReader, find_run

HELP = """\
tunesmith runs list                        all runs, newest first; `tunesmith runs` alone does the same
tunesmith runs show    [RUN] [--key KEY]   state, the curve of a metric (loss), checkpoints
tunesmith runs compare RUN RUN …           what differs in the configurations, and how the runs ended
tunesmith runs stop    RUN                 ask a run to save and end, and wait for it
tunesmith runs resume  RUN [--detach]      go on from the last checkpoint; --detach: in the background
tunesmith runs logs    [RUN] [-n LINES]    what the run printed in its last attempt

RUN is a run's folder, the end of its path, or `last` for the newest, which is also meant where none is given.
Runs are looked for in saves and not far below the present folder; --root FOLDER looks in another."""

_POLL_SECONDS = 0.5


def run(arguments: list[str]) -> int:
    """`tunesmith runs …`; alone it lists."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(tr(HELP))
        return 0
    if not arguments or arguments[0].startswith("-"):
        arguments = ["list", *arguments]
    parser, actions = _parser()
    if arguments[0] not in actions:
        raise UserError(
            f"There is no command `runs {arguments[0]}`.",
            hint=did_you_mean(arguments[0], actions) or f"There are: {', '.join(actions)}.",
        )
    if arguments[0] == "resume":
        _refuse_keys(arguments[1:])
    options = parser.parse_args(arguments)
    action: Callable[[argparse.Namespace], int] = options.action
    return action(options)


def _parser() -> tuple[Options, Collection[str]]:
    """The parser and the names of its commands."""
    parser = Options(prog="tunesmith runs")
    commands = parser.add_subparsers(required=True)

    def part(*names: str, **settings: Any) -> Options:
        """An argument that several commands share."""
        shared = Options(add_help=False)
        shared.add_argument(*names, **settings)
        return shared

    root = part("--root", type=Path, metavar="FOLDER", help=tr("look for runs there (saves and this folder)"))
    named = part("run", metavar="RUN", help=tr("its folder, the end of its path, or `last`"))
    newest = part("run", metavar="RUN", nargs="?", default="last", help=tr("its folder or the end of its path (last)"))

    def add(name: str, action: Callable[[argparse.Namespace], int], text: str, *parts: Options) -> Options:
        command = commands.add_parser(name, description=text, parents=[*parts, root])
        command.set_defaults(action=action)
        return command

    add("list", lambda options: list_all(options.root), tr("All runs, newest first."))
    command = add("show", _show, tr("State, loss curve and checkpoints."), newest)
    command.add_argument("--key", help=tr("the metric to draw (loss)"))
    command = add("compare", _compare, tr("What differs in the configurations, and how the runs ended."))
    command.add_argument("runs", nargs="+", metavar="RUN")
    command = add("stop", _stop, tr("Ask a run to save and end."), named)
    command.add_argument(
        "--wait", type=float, default=600.0, metavar="SECONDS", help=tr("how long to wait for the end (600)")
    )
    command = add("resume", _resume, tr("Go on from the last checkpoint."), named)
    command.add_argument("--detach", action="store_true", help=tr("in the background, on after the terminal is closed"))
    command = add("logs", _logs, tr("What the run printed in its last attempt."), newest)
    command.add_argument("-n", "--lines", type=int, default=50, help=tr("only the last lines; 0 for all (50)"))
    return parser, commands.choices


def _refuse_keys(words: list[str]) -> None:
    for word in words:
        if "=" in word and not word.startswith("-") and not Path(word).exists():
            raise UserError(
                f"`runs resume` takes no keys such as {word}: a run goes on as it began.",
                hint=f"To change it: tunesmith train with its configuration, {word} resume_from_checkpoint=true",
            )


def _find(options: argparse.Namespace) -> RunReader:
    return find_run(options.run, options.root)


def _show(options: argparse.Namespace) -> int:
    return show(_find(options), options.key)


def _compare(options: argparse.Namespace) -> int:
    if len(options.runs) < 2:
        raise UserError("`runs compare` needs two runs or more.")
    return show_comparison([find_run(name, options.root) for name in options.runs])


def _stop(options: argparse.Namespace) -> int:
    run = _find(options)
    state = run.state()
    if not state.active:
        raise UserError(f"{run.path} is not running: it is {state.status}.")
    if state.pid is None:
        raise UserError(
            f"{run.path} is queued, and no process works on it: there is nothing to stop.",
            hint="If it was started a moment ago, ask again; if not, train it again, or delete the folder.",
        )
    run.layout.stop.touch()
    print(tr("Asked {path} to save and stop at the end of its present step.").format(path=run.path), flush=True)
    deadline = time.monotonic() + options.wait
    while (state := run.state()).active and state.pid is not None:
        if time.monotonic() > deadline:
            print(tr("It has not stopped yet; it still will. Process {pid}.").format(pid=state.pid))
            return 1
        time.sleep(_POLL_SECONDS)
    print(tr("It is {status} at step {step}.").format(status=state.status, step=state.step))
    if run.checkpoints() or state.kind == EVAL:
        print(tr("Go on with: tunesmith runs resume {path}").format(path=run.path))
    return 0


def _resume(options: argparse.Namespace) -> int:
    from tunesmith.cli.train import detach, train
    from tunesmith.config.load import load_job

    run = _find(options)
    state = run.state()
    if state.active and state.pid is not None:
        raise UserError(f"{run.path} is at work already.")
    if state.status == "finished":
        raise UserError(
            f"{run.path} has finished; there is nothing left to resume.",
            hint=way_further(run.layout, state.step),
        )
    if run.layout.journal.is_file():
        return _resume_asking(run, detached=options.detach)
    if state.kind == EVAL:
        return _resume_evaluation(run, detached=options.detach)
    checkpoints = run.checkpoints()
    if not checkpoints:
        raise UserError(
            f"{run.path} has no complete checkpoint to resume from.",
            hint=f"Train it afresh: tunesmith train {run.layout.resolved} overwrite_output_dir=true",
        )
    last = checkpoints[-1]
    given = [f"output_dir={run.path}", f"resume_from_checkpoint={last.path}"]
    overrides: dict[str, Any] = dict(item.split("=", 1) for item in given)
    resolved = load_job([run.layout.resolved], overrides, verb="train")
    print(tr("Resuming {path} after step {step}.").format(path=run.path, step=last.step), flush=True)
    arguments = [str(run.layout.resolved), *given]
    return detach(resolved, arguments) if options.detach else train(resolved, arguments, resume=last.path)


def _resume_asking(run: RunReader, *, detached: bool) -> int:
    """A run that asks a model goes on with what has no answer yet."""
    import yaml

    if detached:
        from tunesmith.jobs.launch import start_detached

        start_detached(run.path, ["runs", "resume", str(run.path)])
        print(tr("In the background: {path}").format(path=run.path))
        return 0
    from tunesmith.cli.data_options import run_again

    record = yaml.safe_load(run.layout.resolved.read_text(encoding="utf-8"))
    return run_again(run.layout, record["command"], record)


def _resume_evaluation(run: RunReader, *, detached: bool) -> int:
    """An evaluation goes on with the questions that have no answer yet."""
    from tunesmith.cli import evaluate
    from tunesmith.config.load import load_job

    given = {"output_dir": str(run.path), "overwrite_output_dir": False}
    resolved = load_job([run.layout.resolved], given, verb="train")
    return evaluate.detach(resolved) if detached else evaluate.evaluate(resolved)


def _logs(options: argparse.Namespace) -> int:
    layout = _find(options).layout
    log = layout.attempt_log(layout.last_attempt())
    if not log.is_file() or not log.stat().st_size:
        log = layout.launch_log
    if not log.is_file():
        raise UserError(f"{layout.root} has no log yet.")
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    print("\n".join(lines[-options.lines :] if options.lines else lines))
    return 0
