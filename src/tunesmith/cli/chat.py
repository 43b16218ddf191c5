"""`tunesmith chat`: from a configuration, a run, a model or an adapter to a conversation."""

from __future__ import annotations

from itertools import takewhile

from tunesmith.cli.asked import resolve, tell_notes, wants_help
from tunesmith.errors import UserError
from tunesmith.i18n import tr
from tunesmith.jobs.places import configuration_of
from tunesmith.runs.read import list_runs

_RUNS_NAMED = 5
_RUNTIMES = ("llamacpp", "torch")

HELP = """\
tunesmith chat RUN | MODEL [ADAPTER] | CONFIG.yaml  [key=value …]

Talks to a model in the terminal. RUN is a run's folder or the end of its path, `last` for the newest, or the
folder of a checkpoint in it (`tunesmith runs` lists runs); MODEL a hub id, a folder or a GGUF file, ADAPTER the folder
of an adapter. Questions piped in are answered one per line.

  --runtime llamacpp   answer from a GGUF file in llama.cpp, as others will run it; it is taken by itself for
                       architectures that can't be loaded here (--runtime torch: never)

  tunesmith chat saves/mine
  tunesmith chat Qwen/Qwen3-0.6B temperature=0.2
  echo "Who are you?" | tunesmith chat saves/mine do_sample=false

In the chat: /system TEXT, /clear, /set temperature 0.2, /compare QUESTION (before and after training), /help, /exit."""


def run(arguments: list[str]) -> int:
    if wants_help(arguments):
        print(tr(HELP))
        return 0
    if not arguments:
        raise UserError("`tunesmith chat` needs a run, a model or a configuration to talk to.", hint=_runs_here())
    arguments, runtime = _without_runtime(arguments)
    places = list(takewhile(_is_place, arguments[:2]))
    files, keys = configuration_of(*places) if places else ([], {})
    resolved = resolve(arguments[len(places) :], "chat", files=files, keys=keys)
    tell_notes(resolved)
    from tunesmith.jobs import execute

    execute.chat(resolved, runtime=runtime)
    return 0


def _without_runtime(arguments: list[str]) -> tuple[list[str], str]:
    """The other words, and what `--runtime NAME` or `--runtime=NAME` says."""
    at = next((i for i, argument in enumerate(arguments) if argument.partition("=")[0] == "--runtime"), None)
    if at is None:
        return arguments, ""
    _, equals, name = arguments[at].partition("=")
    name = name if equals else "".join(arguments[at + 1 : at + 2])
    if name not in _RUNTIMES:
        raise UserError(f"--runtime is {name or 'empty'}.", hint=f"It is {' or '.join(_RUNTIMES)}.")
    return arguments[:at] + arguments[at + (1 if equals else 2) :], name


def _runs_here() -> str:
    """The newest runs that can be talked to, as a hint."""
    runs = [str(run.path) for run in list_runs() if run.layout.holds_weights()]
    if not runs:
        return tr("For example: tunesmith chat Qwen/Qwen3-0.6B (no run here has a model yet).")
    listed = ", ".join(runs[:_RUNS_NAMED]) + (" …" if len(runs) > _RUNS_NAMED else "")
    return tr("For example: tunesmith chat {newest} (runs here, newest first: {runs}).").format(
        newest=runs[0], runs=listed
    )


def _is_place(argument: str) -> bool:
    """Whether an argument names a model or a folder, rather than a configuration file or a key."""
    if argument.startswith("-") or "=" in argument:
        return False
    return not argument.lower().endswith((".yaml", ".yml", ".json"))
