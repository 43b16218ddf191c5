"""`tunesmith data roles`: what one character says, out of novels and scripts."""

from __future__ import annotations

from tunesmith.cli.asked import wants_help
from tunesmith.cli.data_options import must_be_named, read_arguments, table
from tunesmith.errors import UserError
from tunesmith.i18n import tr

HELP = """\
tunesmith data roles TEXT … --role NAME,ALIAS,… --out NAME  [--turns 4] [--context 200] …

Extracts what one character says, and what it answers to, from novels and scripts: rows for a model that speaks like
them. `Name: line` and screenplays are read as they are; in novels quotations are given to who is named beside them.
With --base-url and --model a model tells who speaks where nobody is named.
Without --role and --out those who speak are listed.

  tunesmith data roles script.txt
  tunesmith data roles script.txt --role 皇帝,皇上,四郎 --out emperor
  tunesmith data roles hamlet.txt --role HAMLET,Ham --out hamlet --turns 6 --type parquet
"""


def run(arguments: list[str]) -> int:
    """`tunesmith data roles`."""
    from tunesmith.authoring.options import RolesOptions

    if wants_help(arguments):
        print(f"{tr(HELP)}\n{table(RolesOptions)}")
        return 0
    sources, options = read_arguments(arguments, RolesOptions, "roles")
    from tunesmith.jobs import roles

    if not options.role and not options.out:
        return roles.list_speakers(sources, options)
    if not options.role:
        raise UserError(
            "`tunesmith data roles` needs the name of the character.",
            hint="Give it with its aliases: --role 皇帝,皇上,四郎",
            field="role",
        )
    must_be_named(options)
    return roles.extract(sources, options)
