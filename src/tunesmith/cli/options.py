"""Arguments of the commands that take options of their own: what is wrong with them is told as all else is."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from tunesmith.errors import UserError, did_you_mean
from tunesmith.i18n import tr


class Options(argparse.ArgumentParser):
    """As argparse's parser; a mistake is a UserError in place of the usage and an exit."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, left = super().parse_known_args(args, namespace)
        if left:
            self._refuse(left[0])
        return known, left

    def error(self, message: str) -> NoReturn:
        raise UserError(f"`{self.prog}`: {message}.", hint=f"{self.prog} --help")

    def _refuse(self, word: str) -> NoReturn:
        name = word.partition("=")[0]
        flags = sorted(flag for flag in self._option_string_actions if flag.startswith("--"))
        near = did_you_mean(name, flags) if name.startswith("-") else ""
        hint = near or tr("It takes {flags}.").format(flags=", ".join(flags))
        raise UserError(f"`{self.prog}` does not take {word}.", hint=hint)
