"""`tunesmith chat`: from a configuration, a run, a model or an adapter to a conversation."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

from tunesmith.cli.train import resolve, tell_notes, wants_help
from tunesmith.errors import UserError
from tunesmith.i18n import tr
from tunesmith.runs.files import read_json
from tunesmith.runs.layout import RunLayout, is_run

HELP = """\
tunesmith chat CONFIG.yaml | RUN | MODEL [ADAPTER]  [key=value …]

Talks to a model in the terminal. RUN is the folder of a run (or a checkpoint in it), MODEL a hub id, a folder or a
GGUF file, ADAPTER the folder of an adapter. Questions piped in are answered one per line.

  tunesmith chat saves/mine
  tunesmith chat Qwen/Qwen3-0.6B temperature=0.2
  echo "Who are you?" | tunesmith chat saves/mine do_sample=false

In the chat: /system TEXT, /clear, /set temperature 0.2, /compare QUESTION (before and after training), /help, /exit."""


def run(arguments: list[str]) -> int:
    if wants_help(arguments):
        print(tr(HELP))
        return 0
    places = list(takewhile(_is_place, arguments[:2]))
    given = [*_keys_for(places), *arguments[len(places) :]]
    resolved = resolve(given, "chat")
    tell_notes(resolved)
    from tunesmith.jobs import execute

    execute.chat(resolved)
    return 0


def _is_place(argument: str) -> bool:
    """Whether an argument names a model or a folder, rather than a configuration file or a key."""
    if argument.startswith("-") or "=" in argument:
        return False
    return not argument.lower().endswith((".yaml", ".yml", ".json"))


def _keys_for(places: list[str]) -> list[str]:
    """The places as configuration: the resolved file of a run where there is one, keys otherwise."""
    if not places:
        return []
    folder = Path(places[0]).expanduser()
    if len(places) == 2:
        return [f"model_name_or_path={places[0]}", f"adapter_name_or_path={places[1]}"]
    home = next((place for place in (folder, folder.parent) if is_run(place)), None)
    if home is not None:
        return _keys_for_run(folder, RunLayout(home))
    adapter = read_json(folder / "adapter_config.json")
    if adapter is not None:
        base = adapter.get("base_model_name_or_path")
        if not base:
            raise UserError(
                tr("{folder} is an adapter that does not name its base model.").format(folder=folder),
                hint=f"tunesmith chat MODEL {folder}",
            )
        return [f"model_name_or_path={base}", f"adapter_name_or_path={folder}"]
    return [f"model_name_or_path={places[0]}"]


def _keys_for_run(folder: Path, layout: RunLayout) -> list[str]:
    """folder: the run itself or one of its checkpoints; without weights of its own, the last checkpoint's are taken."""
    candidates = [folder] if folder != layout.root else [folder, *(last.path for last in layout.checkpoints()[-1:])]
    for place in candidates:
        if (place / "adapter_config.json").is_file():
            return [str(layout.resolved), f"adapter_name_or_path={','.join([*_merged(layout), str(place)])}"]
        if (place / "config.json").is_file():
            return [str(layout.resolved), f"model_name_or_path={place}", "adapter_name_or_path=null"]
    raise UserError(
        tr("The run {folder} has not saved a model yet.").format(folder=folder),
        hint=tr("Wait for its first checkpoint: tunesmith runs show {folder}").format(folder=layout.root),
    )


def _merged(layout: RunLayout) -> list[str]:
    """The adapters that the run merged into its base before it trained: its own adapter stands on them."""
    from tunesmith.config.load import load_job

    adapter = load_job([layout.resolved], {}, verb="chat").job.adapter
    given = adapter.adapter_name_or_path
    return list(given if adapter.create_new_adapter else given[:-1])
