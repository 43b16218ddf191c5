"""Flags of a command; what is wrong with them is told like any other mistake of a user."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from tunesmith.errors import UserError, did_you_mean


def is_place(argument: str) -> bool:
    """Whether an argument names a model or a folder, rather than a configuration file or a key."""
    if argument.startswith("-") or "=" in argument:
        return False
    return not argument.lower().endswith((".yaml", ".yml", ".json"))


def value_of(flag: str, arguments: Sequence[str]) -> tuple[list[str], str]:
    """(the other words, what `--flag VALUE` or `--flag=VALUE` says; empty where it is not there)."""
    at = next((i for i, argument in enumerate(arguments) if argument.partition("=")[0] == flag), None)
    if at is None:
        return list(arguments), ""
    _, equals, value = arguments[at].partition("=")
    value = value if equals else "".join(arguments[at + 1 : at + 2])
    if not value:
        raise UserError(f"{flag} needs a value.")
    return [*arguments[:at], *arguments[at + (1 if equals else 2) :]], value


class Flags(argparse.ArgumentParser):
    """An ArgumentParser that raises UserError instead of ending the process, and whose help is written by hand."""

    def __init__(self, command: str) -> None:
        super().__init__(prog=f"tunesmith {command}", add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        known = [flag for action in self._actions for flag in action.option_strings]
        unknown = re.match(r"unrecognized arguments: (\S+)", message)
        hint = did_you_mean(unknown[1].partition("=")[0], known) if unknown else ""
        raise UserError(f"{self.prog}: {message}.", hint=hint or f"{self.prog} --help")
