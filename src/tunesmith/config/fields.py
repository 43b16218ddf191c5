"""What the sections say of their fields: types, limits, defaults, help. Everything shown of a key comes from here."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from tunesmith.config.job import SECTIONS

Limit = Ge | Gt | Le | Lt


@dataclass(frozen=True, slots=True)
class Form:
    """One form a value may take. item: what a list holds, or the values of a mapping."""

    kind: Literal["true or false", "whole number", "number", "text", "choice", "list", "mapping", "anything"]
    choices: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    item: Form | None = None

    def __str__(self) -> str:
        if self.kind == "choice":
            return self.choices[0] if len(self.choices) == 1 else "one of " + ", ".join(self.choices)
        if self.kind == "list":
            of = "" if self.item is None or self.item.kind == "text" else f" ({self.item})"
            return f"a list or comma-separated values{of}"
        named = {"true or false": "true or false", "text": "text", "mapping": "a mapping {key: value}"}
        return named.get(self.kind) or " ".join([f"a {self.kind}", " and ".join(map(_limit, self.limits))]).strip()


@dataclass(frozen=True, slots=True)
class Field:
    """One config key. default: as the section has it; secret: never written to a file."""

    name: str
    section: str
    forms: tuple[Form, ...]
    nullable: bool
    default: Any
    secret: bool

    @property
    def expected(self) -> str:
        return " or ".join(str(form) for form in self.forms)

    @property
    def choices(self) -> tuple[str, ...]:
        """Every word that may be given where only certain words may be."""
        return tuple(word for form in self.forms for word in (*form.choices, *(form.item.choices if form.item else ())))

    def takes(self, kind: str) -> Form | None:
        """The form of that kind, if the field has it."""
        return next((form for form in self.forms if form.kind == kind), None)


@cache
def fields() -> Mapping[str, Field]:
    """Every config key, in the order of the sections."""
    found: dict[str, Field] = {}
    for section, cls in SECTIONS.items():
        of_section = fields_of(cls, section)
        assert not found.keys() & of_section.keys(), f"a key of {section} is in two sections"
        found |= of_section
    return types.MappingProxyType(found)


def fields_of(cls: type, section: str = "") -> dict[str, Field]:
    """The fields of a dataclass that is written as the sections are: every field has a default."""
    hints = get_type_hints(cls, include_extras=True)
    defaults = cls()
    found = {}
    for item in dataclasses.fields(cls):
        forms, nullable = _forms(hints[item.name])
        found[item.name] = Field(item.name, section, forms, nullable, getattr(defaults, item.name), not item.repr)
    return found


def help_of(key: str) -> str:
    """The help of a field: the string below it in the source. Empty where Python runs without sources."""
    section: Any = SECTIONS[fields()[key].section]
    return helps_of(section).get(key, "")


@cache
def helps_of(cls: type) -> Mapping[str, str]:
    """The help of each field of such a dataclass, those of its bases too."""
    helps: dict[str, str] = {}
    for base in cls.__bases__:
        helps |= helps_of(base) if dataclasses.is_dataclass(base) else {}
    try:
        tree = ast.parse(inspect.getsource(cls))
    except OSError:
        return helps
    for first, second in pairwise(tree.body[0].body):  # type: ignore[attr-defined]
        match first, second:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                helps[name] = " ".join(text.split())
    return helps


def _forms(hint: Any) -> tuple[tuple[Form, ...], bool]:
    """The forms of a type hint, and whether it may be null."""
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return tuple(_form(member) for member in members if member is not type(None)), type(None) in members


def _form(hint: Any) -> Form:
    limits: tuple[Limit, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *marks = get_args(hint)
        limits = tuple(mark for mark in marks if isinstance(mark, Limit))
    origin = get_origin(hint)
    if origin is Literal:
        return Form("choice", choices=get_args(hint))
    if origin is tuple:
        return Form("list", item=_form(get_args(hint)[0]))
    if origin is Mapping:
        return Form("mapping", item=_form(get_args(hint)[1]))
    kinds: dict[Any, Any] = {bool: "true or false", int: "whole number", float: "number", str: "text", Any: "anything"}
    return Form(kinds[hint], limits=limits)


def _limit(limit: Limit) -> str:
    signs: dict[type, str] = {Ge: "≥", Gt: ">", Le: "≤", Lt: "<"}
    return f"{signs[type(limit)]} {getattr(limit, type(limit).__name__.lower()):g}"
