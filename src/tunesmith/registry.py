"""Named things of one kind: built-in ones and those of installed plug-ins, filled the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from typing import Generic, TypeVar

from tunesmith.errors import UserError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """A table name → thing.

    Members register themselves where they are written: `@FORMATS.member("alpaca")`. The modules that hold the
    built-in members are found by listing `package`; plug-ins by the entry-point group `tunesmith.plugins`
    whose entries are named `<kind>.<anything>`. Both happen at the first look-up: a registry costs nothing at import.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._members: dict[str, T] = {}
        self._filled = False

    def add(self, name: str, thing: T) -> T:
        assert name not in self._members, f"two {self.kind}s are named {name}"
        self._members[name] = thing
        return thing

    def member(self, *names: str) -> Callable[[T], T]:
        """Decorator: register the thing under each of the names."""

        def register(thing: T) -> T:
            for name in names:
                self.add(name, thing)
            return thing

        return register

    def names(self) -> list[str]:
        self._fill()
        return sorted(self._members)

    def __contains__(self, name: str) -> bool:
        self._fill()
        return name in self._members

    def __iter__(self) -> Iterator[tuple[str, T]]:
        self._fill()
        return iter(sorted(self._members.items()))

    def get(self, name: str, *, field: str | None = None) -> T:
        """The member called name; UserError with the nearest names otherwise."""
        self._fill()
        if name not in self._members:
            hint = did_you_mean(name, self._members) or f"Known: {', '.join(self.names())}."
            raise UserError(f"There is no {self.kind} called {name!r}.", hint=hint, field=field)
        return self._members[name]

    def _fill(self) -> None:
        if self._filled:
            return
        self._filled = True
        package = import_module(self._package)
        for module in iter_modules(package.__path__):
            import_module(f"{self._package}.{module.name}")
        for entry in entry_points(group="tunesmith.plugins"):
            if entry.name.startswith(f"{self.kind}."):
                entry.load()
