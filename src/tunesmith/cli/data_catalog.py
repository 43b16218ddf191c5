"""`tunesmith data add`, `list`, `rename`, `remove`: the entries of dataset_info.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tunesmith.cli.asked import wants_help
from tunesmith.cli.flags import Flags
from tunesmith.errors import UserError
from tunesmith.i18n import tr

HELP = """\
tunesmith data add FILE [--name NAME] [--formatting FORMAT] [--copy]      register a file of rows
tunesmith data add OWNER/NAME --hub | --modelscope [--name NAME] [--split SPLIT]
tunesmith data list                                                      what is registered, and where it lies
tunesmith data rename NAME NEW
tunesmith data remove NAME [--delete-file]                               the entry, and with the flag its file

All take --dataset-dir FOLDER (data). Other entries of dataset_info.json keep their place and their spelling.

  --formatting FORMAT  alpaca, sharegpt, openai or text; told from the rows where left out
  --copy               copy the file into the folder instead of registering it where it lies
  --replace            replace an entry of that name"""


def _flags(verb: str) -> Flags:
    flags = Flags(f"data {verb}")
    flags.add_argument("--dataset-dir", "--dataset_dir", default="data")
    return flags


def _helped(arguments: list[str], *, bare: bool = False) -> bool:
    """Print the page where it is asked for, or where there is nothing else to do."""
    if wants_help(arguments) or (not arguments and not bare):
        print(tr(HELP))
        return True
    return False


def run_add(arguments: list[str]) -> int:
    if _helped(arguments):
        return 0 if arguments else 2
    flags = _flags("add")
    flags.add_argument("source")
    flags.add_argument("--name")
    flags.add_argument("--formatting")
    flags.add_argument("--split")
    for flag in ("--copy", "--replace", "--hub", "--modelscope"):
        flags.add_argument(flag, action="store_true")
    given = flags.parse_args(arguments)
    from tunesmith.authoring import catalog_entries

    if given.hub or given.modelscope:
        name = given.name or given.source.rpartition("/")[2]
        hub: catalog_entries.Hub = "ms" if given.modelscope else "hf"
        entry = catalog_entries.add_from_hub(
            given.source, name, given.dataset_dir, hub, split=given.split, replace=given.replace
        )
        _tell_entry(name, entry)
        told = tr("Nothing was fetched yet. Fetch and check it:  tunesmith data check {name} --dataset_dir {folder}")
        print(told.format(name=name, folder=given.dataset_dir))
        return 0
    path = Path(given.source).expanduser()
    if not path.exists():
        raise UserError(
            f"There is no file {path.absolute()}.", hint="A data set of a hub is added with --hub or --modelscope."
        )
    name = given.name or path.stem
    entry = catalog_entries.add(
        path, name, given.dataset_dir, formatting=given.formatting, copy=given.copy, replace=given.replace
    )
    _tell_entry(name, entry)
    from tunesmith.authoring.catalog_file import info_path
    from tunesmith.jobs import published

    return published.show_entries([name], info_path(given.dataset_dir))


def _tell_entry(name: str, entry: dict[str, Any]) -> None:
    print(f'"{name}": {json.dumps(entry, ensure_ascii=False)}', flush=True)
    print()


def run_list(arguments: list[str]) -> int:
    if _helped(arguments, bare=True):
        return 0
    given = _flags("list").parse_args(arguments)
    from rich.table import Table
    from rich.text import Text

    from tunesmith.authoring.catalog_entries import listed
    from tunesmith.cli.terminal import console, size

    table = Table.grid(padding=(0, 2))
    found = listed(given.dataset_dir)
    for one in found:
        place = Text(one.problem, style="red") if one.problem else Text("" if one.size is None else size(one.size))
        table.add_row(Text(one.name, style="bold"), one.kind, Text(one.where), place)
    console().print(table if found else tr("No data set is registered in {path}.").format(path=given.dataset_dir))
    return 1 if any(one.problem for one in found) else 0


def run_rename(arguments: list[str]) -> int:
    if _helped(arguments):
        return 0 if arguments else 2
    flags = _flags("rename")
    flags.add_argument("name")
    flags.add_argument("new")
    given = flags.parse_args(arguments)
    from tunesmith.authoring.catalog_entries import rename

    rename(given.name, given.new, given.dataset_dir)
    print(tr("{name} is called {new} now; its file keeps its name.").format(name=given.name, new=given.new))
    return 0


def run_remove(arguments: list[str]) -> int:
    if _helped(arguments):
        return 0 if arguments else 2
    flags = _flags("remove")
    flags.add_argument("name")
    flags.add_argument("--delete-file", action="store_true")
    given = flags.parse_args(arguments)
    from tunesmith.authoring.catalog_entries import remove

    deleted = remove(given.name, given.dataset_dir, delete_file=given.delete_file)
    print(tr("{name} is no longer registered.").format(name=given.name))
    if deleted is not None:
        print(tr("Deleted: {path}").format(path=deleted))
    return 0
