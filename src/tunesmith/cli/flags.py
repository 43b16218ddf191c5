"""Flags of a command; what is wrong with them is told like any other mistake of a user."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from tunesmith.errors import UserError, did_you_mean


class Flags(argparse.ArgumentParser):
    """An ArgumentParser that raises UserError instead of ending the process, and whose help is written by hand."""

    def __init__(self, command: str) -> None:
        super().__init__(prog=f"tunesmith {command}", add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        known = [flag for action in self._actions for flag in action.option_strings]
        unknown = re.match(r"unrecognized arguments: (\S+)", message)
        hint = did_you_mean(unknown[1].partition("=")[0], known) if unknown else ""
        raise UserError(f"{self.prog}: {message}.", hint=hint or f"{self.prog} --help")
