"""`tunesmith data make` and `tunesmith data prompts`: a model writes a data set about documents."""

from __future__ import annotations

from pathlib import Path

from tunesmith.cli.asked import wants_help
from tunesmith.cli.data_options import must_be_named, read_arguments, table
from tunesmith.i18n import tr

HELP = """\
tunesmith data make SOURCE … --out NAME --base-url URL --model MODEL  [--entries 5] …

Lets a model write questions and answers about documents (files or folders). They are cut into chunks, the model is
asked about each, its answers are checked, and the rows are registered in dataset_info.json.

  tunesmith data make book.epub --out book --base-url http://127.0.0.1:11434/v1 --model qwen3:8b
  tunesmith data make docs/ --out docs --dry-run --price-in 0.4 --price-out 1.2     what it will take
  tunesmith data make docs/ --out docs --model saves/mine                           a model of this machine

A key is never given on the command line, where everybody on the machine can read it: put TUNESMITH_API_KEY (or
OPENAI_API_KEY) into the environment or into a file .env here. Every answer is kept as it arrives: killed or stopped,
the same command goes on where it ended and asks nothing twice. Ctrl-C ends with what there is.
"""

PROMPTS_HELP = """\
tunesmith data prompts DIR

Copies the prompts that `data make` and `data roles` ask with to a folder, to be changed; --prompts DIR uses them.
Files that are left as they were may be deleted there."""


def run_make(arguments: list[str]) -> int:
    """`tunesmith data make`."""
    from tunesmith.authoring.options import MakeOptions

    if wants_help(arguments):
        print(f"{tr(HELP)}\n{table(MakeOptions)}")
        return 0
    sources, options = read_arguments(arguments, MakeOptions, "make")
    must_be_named(options)
    from tunesmith.jobs import make

    return make.preview(sources, options) if options.dry_run else make.make(sources, options)


def run_prompts(arguments: list[str]) -> int:
    """`tunesmith data prompts`."""
    if wants_help(arguments) or len(arguments) != 1:
        print(tr(PROMPTS_HELP))
        return 0 if wants_help(arguments) else 2
    from tunesmith.authoring.prompting import copy_prompts

    for path in copy_prompts(Path(arguments[0]).expanduser()):
        print(path)
    return 0
