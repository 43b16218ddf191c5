"""Keys of LLaMA-Factory that are no field here: each is accepted with a word, renamed, or refused with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.config.reading import plain
from tunesmith.errors import UserError

TRAINING_VERBS = frozenset({"train", "plan"})


@dataclass(frozen=True, slots=True)
class Noted:
    """Accepted; line says what happens instead. A neutral value asks for nothing and is passed over without a word."""

    line: str
    neutral: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """An error when set to anything but null or a neutral value. line: why, and what to use instead.

    verbs: the commands it would matter to; the others only mention it, so that one file can feed several commands.
    """

    line: str
    neutral: tuple[Any, ...] = (False,)
    verbs: frozenset[str] = TRAINING_VERBS


@dataclass(frozen=True, slots=True)
class Renamed:
    """Taken as another key. values: what a value becomes there, where that differs."""

    to: str
    values: Mapping[Any, Any] | None = None

    @property
    def line(self) -> str:
        if self.values is None:
            return f"Read as `{self.to}`."
        pairs = ", ".join(f"`{_word(old)}` as `{self.to}: {_word(new)}`" for old, new in self.values.items())
        return f"Read as `{self.to}`: {pairs}."

    def value(self, given: Any) -> Any:
        return given if self.values is None else self.values.get(plain(given), given)


Legacy = Noted | Refused | Renamed


def settle(key: str, value: Any, entry: Noted | Refused, *, verb: str, where: str = "") -> str | None:
    """What is to be said of a legacy key that is set to value, None for nothing; UserError if it is refused."""
    if plain(value) in (None, "", *entry.neutral):
        return None
    if isinstance(entry, Noted):
        return f"{key}: {entry.line}"
    secret = key.endswith("token")
    return refuse(key if secret else f"{key}: {_word(value)}", entry, key=key, verb=verb, where=where)


def refuse(what: str, entry: Refused, *, key: str, verb: str, where: str = "") -> str:
    """Raise the UserError of a refused setting, or return the note for a command that it doesn't matter to."""
    if verb not in entry.verbs:
        return f"{what} does not matter to `{verb}`."
    at = f" ({where})" if where else ""
    raise UserError(f"`{what}` is refused{at}: {entry.line}", hint=f"Remove `{key}` or change it.", field=key)


def _word(value: Any) -> str:
    return (
        {None: "null", True: "true", False: "false"}.get(value, str(value))
        if not isinstance(value, dict | list)
        else str(value)
    )
