"""Keys of LLaMA-Factory that are no field here: each is accepted with a word, renamed, or refused with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.config.reading import plain

TRAINING_VERBS = frozenset({"train", "plan"})
EVAL = "eval"


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
        pairs = ", ".join(f"`{word(old)}` as `{self.to}: {word(new)}`" for old, new in self.values.items())
        return f"Read as `{self.to}`: {pairs}."

    def value(self, given: Any) -> Any:
        """What the value given for the old key is for the new one."""
        meant = switch(given)
        return next((new for old, new in (self.values or {}).items() if old == meant), given)


Legacy = Noted | Refused | Renamed


def asks(entry: Noted | Refused, value: Any) -> bool:
    """Whether the value asks for anything that we don't do anyway."""
    return switch(value) not in (None, "", *entry.neutral)


def word(value: Any) -> str:
    """A value as one would write it in YAML."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def switch(value: Any) -> Any:
    """A value typed by its looks, YAML's older words for true and false among them."""
    words = {"yes": True, "on": True, "no": False, "off": False}
    return words.get(value.lower(), plain(value)) if isinstance(value, str) else value
