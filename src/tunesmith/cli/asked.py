"""The arguments of a command as the job that they describe, and what is to be told of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import UserError
from tunesmith.i18n import tr, translated

if TYPE_CHECKING:
    from tunesmith.config.load import Resolved


def resolve(
    arguments: list[str], verb: str, *, files: Sequence[Path] = (), keys: Mapping[str, Any] | None = None
) -> Resolved:
    """The job that the arguments describe, laid over files and keys that are known already."""
    from tunesmith.config.load import load_job, parse_arguments

    given, overrides = parse_arguments(arguments)
    if not (given or overrides or files or keys):
        raise UserError(
            f"`tunesmith {verb}` needs a configuration file or keys.",
            hint=f"tunesmith {verb} CONFIG.yaml, or: tunesmith {verb} --help",
        )
    return load_job([*files, *given], {**(keys or {}), **overrides}, verb=verb)


def wants_help(arguments: list[str]) -> bool:
    return any(argument in ("-h", "--help") for argument in arguments)


def tell_notes(resolved: Resolved) -> None:
    """Notes go to stderr, so that the resolved configuration can be piped into a file.

    A worker that was started beside others says nothing: the process that started it has.
    """
    if "LOCAL_RANK" in os.environ:
        return
    from rich.markup import escape

    from tunesmith.cli.terminal import console

    for note in resolved.notes:
        console(stderr=True).print(f"[yellow]{tr('note')}[/]  {escape(translated(note))}")
