"""The command line: a static table of commands; a command's module is imported when it is called, nothing before."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from tunesmith.errors import UserError, did_you_mean
from tunesmith.i18n import told, tr

# The first of several processes speaks for all: where it has failed too, torchrun ends the others while they wait.
_SECONDS_OF_THE_FIRST = 5.0
DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True, slots=True)
class Command:
    """`function` of `module` takes the arguments after the command and returns the exit code."""

    group: str
    summary: str
    module: str = ""
    function: str = "run"


MODEL, RUNS, DATA, MACHINE = "Train and use a model", "Runs", "Data", "This machine and help"

COMMANDS = {
    "train": Command(MODEL, "Fine-tune a model: train CONFIG.yaml [key=value …]", "tunesmith.cli.train"),
    "plan": Command(MODEL, "Check a run before it starts: data, memory, disk, time", "tunesmith.cli.train", "plan"),
    "chat": Command(MODEL, "Talk to a model: chat RUN | MODEL [ADAPTER] | CONFIG.yaml", "tunesmith.cli.chat"),
    "export": Command(MODEL, "Merge, quantize, write GGUF: export RUN --quant q4_k_m", "tunesmith.cli.export"),
    "eval": Command(MODEL, "A model's loss and its answers, scored: eval RUN --dataset NAME", "tunesmith.cli.evaluate"),
    "verify": Command(MODEL, "Compare an exported model with the trained one", "tunesmith.cli.export", "verify"),
    "webui": Command(MODEL, "The studio in the browser: train, watch, data, chat, export", "tunesmith.web.serve"),
    "demo": Command(MODEL, "Fine-tune a small bundled model and see what it learned", "tunesmith.cli.demo"),
    "runs": Command(RUNS, "List, show, compare, stop and resume runs, read their logs", "tunesmith.cli.runs"),
    "data": Command(DATA, "Make data sets from documents and tables, check and preview them", "tunesmith.cli.data"),
    "doctor": Command(MACHINE, "Find what would go wrong on this machine, and the fix", "tunesmith.cli.doctor"),
    "env": Command(MACHINE, "Versions and devices, to paste into a bug report", "tunesmith.cli.env"),
    "version": Command(MACHINE, "The version", "tunesmith.cli.main", "print_version"),
    "help": Command(MACHINE, "This page, or what a key of the configuration means: help KEY", "tunesmith.cli.help"),
}

# LLaMA-Factory's verbs that this version does not have.
MISSING = {
    "api": "The API server is not in this version yet; `tunesmith chat` talks to the same model in the terminal.",
    "webchat": "A page of its own for chat is not in this version yet; the studio has one: `tunesmith webui`.",
}
_ALIASES = {
    "studio": "webui",
    "predict": "eval",
    "evaluate": "eval",
    "-h": "help",
    "--help": "help",
    "-V": "version",
    "--version": "version",
    "-v": "version",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 the user's mistake, 130 interrupted."""
    _speak_utf8()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return dispatch(arguments)
    except UserError as error:
        if os.environ.get("RANK", "0") != "0":
            time.sleep(_SECONDS_OF_THE_FIRST)
        print(f"{tr('Error')}: {told(error)}", file=sys.stderr)
        return MISUSED
    except KeyboardInterrupt:
        print(tr("Interrupted."), file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if os.environ.get("TUNESMITH_DEBUG"):
            raise
        from tunesmith.cli.crash import report

        print(report(error, arguments), file=sys.stderr)
        return FAILED


def dispatch(arguments: list[str]) -> int:
    """Call the command that the first argument names."""
    name = _ALIASES.get(arguments[0], arguments[0]) if arguments else "help"
    if name == "help" and len(arguments) < 2:
        print(usage())
        return DONE if arguments else MISUSED
    if name in MISSING:
        raise UserError(MISSING[name])
    if name not in COMMANDS:
        known = [*COMMANDS, *MISSING]
        hint = did_you_mean(name, known) or tr("`tunesmith help` lists the commands.")
        raise UserError(f"There is no command {name!r}.", hint=hint)
    command = COMMANDS[name]
    function = getattr(import_module(command.module), command.function)
    code: int = function(arguments[1:])
    return code


def usage() -> str:
    """The help page."""
    lines = [
        f"Tunesmith {version()}: {tr('from your own data to your own model.')}",
        "",
        tr("tunesmith COMMAND …"),
    ]
    for group in dict.fromkeys(command.group for command in COMMANDS.values()):
        lines += ["", f"{tr(group)}:"]
        lines += [f"  {name:<9}{tr(command.summary)}" for name, command in COMMANDS.items() if command.group == group]
    lines += ["", tr("`tunesmith COMMAND --help` tells more about one command. New here? Try `tunesmith demo`.")]
    return "\n".join(lines)


def version() -> str:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("tunesmith")
    except PackageNotFoundError:
        return "(not installed)"


def print_version(arguments: list[str]) -> int:
    print(f"tunesmith {version()}")
    return DONE


def _speak_utf8() -> None:
    """Output is UTF-8 whatever the code page says; a character that still can't be shown becomes a question mark."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="replace")


if __name__ == "__main__":
    raise SystemExit(main())
