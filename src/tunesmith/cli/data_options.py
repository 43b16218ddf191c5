"""Sources and options of the commands that make data sets out of documents, as flags and as a help page."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tunesmith.cli.flags import Flags
from tunesmith.errors import UserError
from tunesmith.i18n import translated

if TYPE_CHECKING:
    from tunesmith.authoring.options import Options
    from tunesmith.config.fields import Field
    from tunesmith.runs.layout import RunLayout

T = TypeVar("T", bound="Options")


def read_arguments(arguments: Sequence[str], kind: type[T], action: str) -> tuple[list[Path], T]:
    """Sources and options. UserError for anything that is not one."""
    from tunesmith.authoring.options import read_options
    from tunesmith.config.fields import fields_of

    known = fields_of(kind)
    parser = Flags(f"data {action}")
    parser.add_argument("sources", nargs="*")
    for name, field in known.items():
        kept = "store_true" if field.takes("true or false") else "append" if field.takes("list") else "store"
        spelled = dict.fromkeys((_flag(name), f"--{name}"))  # with an underscore too, as in files of settings
        parser.add_argument(*spelled, dest=name, action=kept, default=argparse.SUPPRESS)
    for argument in arguments:
        flag = argument.partition("=")[0]
        if flag in ("--api-key", "--api_key"):
            raise UserError(
                "A key on the command line can be read by everybody on this machine, so it is not taken from there.",
                hint="Put TUNESMITH_API_KEY into the environment or into a file .env here.",
                field="api_key",
            )
    given = vars(parser.parse_intermixed_args(list(arguments)))
    sources = [Path(source).expanduser() for source in given.pop("sources")]
    for name, value in given.items():
        if isinstance(value, list):
            given[name] = tuple(value) if name in kind.REPEATED else ",".join(value)
    options = read_options(kind, given)
    if not sources:
        raise UserError(
            f"`tunesmith data {action}` needs a document or a folder of them.",
            hint=f"tunesmith data {action} --help",
        )
    return sources, options


def must_be_named(options: Options) -> None:
    """UserError where nothing says how the data set is to be called."""
    if not options.out:
        raise UserError("The data set needs a name.", hint="Add --out NAME.", field="out")


def run_again(run: RunLayout, command: str, record: Mapping[str, Any]) -> int:
    """Go on with a job as its run recorded it."""
    from tunesmith.authoring.options import MakeOptions, RolesOptions, read_options
    from tunesmith.jobs.held_back import OwnFiles

    given = {key: value for key, value in record.items() if key not in ("command", "sources")}
    if OwnFiles(run, command).any:  # `replace` was said of what lay there before, and that is replaced
        given["replace"] = False
    sources = [Path(source) for source in record["sources"]]
    if command == "data make":
        from tunesmith.jobs import make

        return make.make(sources, read_options(MakeOptions, {**given, "run_dir": str(run.root)}))
    from tunesmith.jobs import roles

    return roles.extract(sources, read_options(RolesOptions, {**given, "run_dir": str(run.root)}))


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def table(kind: type[Options]) -> str:
    """The options with their help and defaults."""
    from tunesmith.config.fields import fields_of, helps_of

    lines = []
    made: Any = kind
    left = {name: _flag(name) + _value(field, kind) for name, field in fields_of(kind).items()}
    width = max(map(len, left.values()))
    for name, field in fields_of(kind).items():
        told = translated(helps_of(made).get(name, "")).rstrip(".。")
        default = f" ({field.default})" if field.default and not isinstance(field.default, bool | tuple) else ""
        lines.append(f"  {left[name]:<{width}}  {told}{default}")
    return "\n".join(lines)


def _value(field: Field, kind: type[Options]) -> str:
    """What stands for a value in the help."""
    if field.takes("true or false"):
        return ""
    if field.choices:
        return " " + "|".join(field.choices)
    if field.name in kind.REPEATED:
        return " TEXT"
    return " A,B,…" if field.takes("list") else " TEXT" if field.takes("text") else " N"
