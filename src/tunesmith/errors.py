"""What a user can do wrong, told in one message."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Callable, Iterable, Sequence

_RIVAL = 0.15  # a name that is less like the word than the nearest by this much was not meant


class UserError(Exception):
    """Something the user asked for can't be done; shown without a traceback, exit code 2.

    message: what was found and what was expected, naming the file, row or key.
    hint: the likely fix, one sentence.
    field: the config key that is at fault, if one is (the web form marks it).
    code: a word by which programs know what went wrong, where they can help: login, disk_full, port, hub_unreachable,
    in_use, columns, template, needs_gpu, unknown_key.
    parts: the single mistakes, where the message tells of several.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        field: str | None = None,
        code: str | None = None,
        parts: Sequence[UserError] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.field = field
        self.code = code
        self.parts = tuple(parts) or (self,)

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message


def code_of(error: BaseException) -> str | None:
    """The code of what a library raised: `login` where a server wants to know who asks, `disk_full` where it is."""
    if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
        return "login"
    return "disk_full" if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT) else None


def did_you_mean(word: str, known: Iterable[str], show: Callable[[str], str] = str) -> str:
    """'Did you mean X?' for the nearest known names, each as `show` writes it, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    likeness = [difflib.SequenceMatcher(None, name, word).ratio() for name in near]
    near = [name for name, one in zip(near, likeness, strict=True) if one > likeness[0] - _RIVAL]
    return f"Did you mean {' or '.join(map(show, near))}?" if near else ""
