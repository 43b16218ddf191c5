"""`tunesmith data`: is this dataset fit to train on, and what does the model see of it?"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.cli.asked import resolve, tell_notes, wants_help
from tunesmith.errors import UserError, did_you_mean
from tunesmith.i18n import tr

if TYPE_CHECKING:
    from tunesmith.config.load import Resolved

HELP = """\
tunesmith data check   NAME | FILE | CONFIG.yaml …  [key=value …]
tunesmith data preview NAME | FILE | CONFIG.yaml …  [key=value …] [--rows N]

check    counts the rows that can and can't be used and says why, finds duplicates, measures lengths and what
         cutoff_len cuts off, and finds evaluation rows that are trained on too.
preview  shows rows as the model sees them: text, token ids, and which tokens are trained.

NAME is an entry of dataset_info.json (dataset_dir says where that lies), FILE a data file. Lengths and tokens need the
tokenizer of a model: give model_name_or_path, or a CONFIG.yaml that has it.

  tunesmith data check mine.jsonl
  tunesmith data preview mine.jsonl model_name_or_path=Qwen/Qwen3-0.6B --rows 3

Data sets are made by these, and registered in dataset_info.json; each has a page: tunesmith data convert --help

make     a model writes questions and answers about documents     data make book.epub --out book --model …
roles    one character's dialogue out of a novel or script        data roles novel.txt --role Ada --out ada
convert  tables, documents and other formats, without a model     data convert faq.xlsx --out faq
prompts  the prompts that make and roles ask with, to be changed

add, list, rename, remove    the entries of dataset_info.json
split, merge                 one data set into two, several into one
push                         to Hugging Face's hub or ModelScope"""

# Verbs with a module of their own: it is imported when the verb is called, and its run() takes what follows the verb.
_MODULES = {
    "make": "tunesmith.cli.data_make",
    "roles": "tunesmith.cli.data_roles",
    "prompts": "tunesmith.cli.data_make",
    "convert": "tunesmith.cli.data_convert",
    "add": "tunesmith.cli.data_catalog",
    "list": "tunesmith.cli.data_catalog",
    "rename": "tunesmith.cli.data_catalog",
    "remove": "tunesmith.cli.data_catalog",
    "split": "tunesmith.cli.data_rows",
    "merge": "tunesmith.cli.data_rows",
    "push": "tunesmith.cli.data_push",
}
_HERE = ("check", "preview")


def run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(tr(HELP))
        return 0 if arguments else 2
    action, *rest = arguments
    if action in _MODULES:
        module = import_module(_MODULES[action])
        # Modules that hold several verbs have a function for each, called as the verb is.
        function = getattr(module, f"run_{action}", None) or module.run
        code: int = function(rest)
        return code
    if action not in _HERE:
        verbs = [*_HERE, *_MODULES]
        raise UserError(
            f"There is no command `data {action}`.",
            hint=did_you_mean(action, verbs) or f"There are: {', '.join(verbs)}.",
        )
    if wants_help(rest):
        print(tr(HELP))
        return 0
    if not rest:
        raise UserError(
            f"`tunesmith data {action}` needs a data set.",
            hint=f"tunesmith data {action} mine.jsonl, or: tunesmith data --help",
        )
    rest, rows = _rows(rest)
    resolved = resolve(configuration(rest), "data")
    tell_notes(resolved)
    return _check(resolved) if action == "check" else _preview(resolved, rows)


def configuration(arguments: list[str]) -> list[str]:
    """The arguments with names and data files gathered into the key `dataset`; only YAML is a configuration here."""
    datasets, others, follows_flag = [], [], False
    for argument in arguments:
        config = argument.lower().endswith((".yaml", ".yml"))
        key = argument.startswith("-") or ("=" in argument and not Path(argument).exists())
        if config or key or follows_flag:
            others.append(argument)
        else:
            datasets.append(argument)
        follows_flag = argument.startswith("--") and "=" not in argument and not follows_flag
    return [*others, f"dataset={','.join(datasets)}"] if datasets else others


def _rows(arguments: list[str]) -> tuple[list[str], int]:
    """Take `--rows N` out of the arguments."""
    if "--rows" not in arguments:
        return arguments, 2
    at = arguments.index("--rows")
    given = arguments[at + 1] if at + 1 < len(arguments) else ""
    if not given.isdigit():
        raise UserError(f"--rows needs a whole number, not {given!r}.")
    return arguments[:at] + arguments[at + 2 :], int(given)


def _check(resolved: Resolved) -> int:
    from tunesmith.jobs import data

    return data.check(resolved.job)


def _preview(resolved: Resolved, rows: int) -> int:
    from tunesmith.jobs import data

    return data.preview(resolved.job, rows)
