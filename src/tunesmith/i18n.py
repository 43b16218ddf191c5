"""Translation of what people read. The rooms write English, which is what stands on disk; the doors translate it.

A catalogue is `locale/LANGUAGE.po`, keyed by the English text with `{name}` in place of values. `tr` looks a text up
where it is said, before its values are filled in: `tr("{count} runs").format(count=3)`. `translated` takes a text as it
was told, finds the entry whose words it has, and puts its values into the translation. A text without an entry stays as
it is.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from string import Formatter

from tunesmith.errors import UserError

CATALOGUES = Path(__file__).with_name("locale")
IN_ENGLISH: Mapping[str, str] = {"TUNESMITH_LANGUAGE": "en"}
"""Laid over the environment of a process whose words are kept on disk or read by a program."""

_LONGEST, _MOST_PARTS = 4000, 60
_LEAST_LETTERS = 4
# A text that has no entry is translated by lines, those by sentences, those by what stands around a sign.
_BORDERS = tuple(
    map(re.compile, (r"(\n\s*(?:→ )?)", r"(?<=[.?!])( +)", r"(?<=[:×])( +)", r"(?<=;)( +)", r"(, )(?=\d)"))
)
_NUMBER = re.compile(r"-?[\d.,\s]+")
_NUMBERS = frozenset({"count", "number"})
"""Names of values that are numbers: a text with another value there is another text."""
_OF_OURS = frozenset({"status", "kind"})
"""Names of values that are words of ours, be they single ones."""
_WIDE = tuple("。！？；：，、）」』”")
"""Signs that bring their own space."""
_TRADITIONAL = frozenset({"tw", "hk", "mo", "hant"})


_IN_ENGLISH: ContextVar[bool] = ContextVar("in_english", default=False)


@contextmanager
def in_english() -> Iterator[None]:
    """Within it this process's language is English: for what is kept on disk."""
    before = _IN_ENGLISH.set(True)
    try:
        yield
    finally:
        _IN_ENGLISH.reset(before)


def tr(text: str) -> str:
    """The text in this process's language, or as it is."""
    book = _book(here())
    return book.texts.get(text, text) if book else text


def translated(text: str, language: str | None = None) -> str:
    """What was told, as far as the catalogue has it. language: as `spoken` gives it; left out, this process's."""
    return _translated(text, here() if language is None else language)


@lru_cache(maxsize=4096)
def _translated(text: str, language: str) -> str:
    book = _book(language)
    return book.say(text) if book and len(text) <= _LONGEST else text


def told(error: UserError) -> str:
    """A mistake with the likely fix in this process's language; in English as `str` gives it."""
    message, hint = translated(error.message), translated(error.hint)
    return f"{message}\n  → {hint}" if hint else message


def here() -> str:
    """The language of this process: TUNESMITH_LANGUAGE, else the system's; empty for English."""
    if _IN_ENGLISH.get():
        return ""
    for name in ("TUNESMITH_LANGUAGE", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return spoken(value.split(":"))
    return spoken([_of_windows()]) if sys.platform == "win32" else ""


def spoken(wanted: Iterable[str]) -> str:
    """The first language that there is a catalogue of; empty for English.

    wanted: tags as browsers and systems write them, for example `zh-Hant-HK`, `ja;q=0.8`, `zh_CN.UTF-8`.
    """
    for tag in wanted:
        language, *rest = re.split(r"[-_]", re.split(r"[;.@]", tag.strip().lower())[0])
        if language in ("en", "c", "posix"):
            return ""
        if language == "zh":
            language = "zh-TW" if _TRADITIONAL.intersection(rest) else "zh-CN"
        if language in languages():
            return language
    return ""


def trn(one: str, many: str, count: int) -> str:
    """As `plural`, in this process's language."""
    return plural(tr(one), tr(many), count)


def plural(one: str, many: str, count: int) -> str:
    """What is told of one thing, or of many, with {count} filled in."""
    return (one if count == 1 else many).format(count=count)


@cache
def languages() -> tuple[str, ...]:
    """The languages besides English."""
    return tuple(sorted(path.stem for path in CATALOGUES.glob("*.po")))


def entries(path: Path) -> Iterator[tuple[str, str]]:
    """Text and translation of each entry of a PO file; an empty translation is none yet."""
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        found, into = {"msgid": "", "msgstr": ""}, ""
        for line in block.splitlines():
            keyword, _, rest = line.partition(" ")
            into, line = (keyword, rest) if keyword in found else (into, line)
            if into and line.startswith('"'):
                found[into] += _unquoted(line)
        if found["msgid"]:
            yield found["msgid"], "" if "#, fuzzy" in block else found["msgstr"]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text.strip()[1:-1])


@dataclass(frozen=True, slots=True)
class Template:
    """A text with values. pieces: what stands around them, one more than there are names. open_at: whether the space
    beside the value at the beginning, and at the end, is not among them."""

    pieces: tuple[str, ...]
    names: tuple[str, ...]
    open_at: tuple[bool, bool] = (False, False)

    @classmethod
    def read(cls, text: str) -> Template:
        """`{name}`, `{name!r}` and `{name:.1f}` are values, `{{` is a brace; a text with other braces has no values."""
        pieces, names = [""], []
        try:
            for literal, name, _, _ in Formatter().parse(text):
                pieces[-1] += literal
                if name is not None:
                    names.append(name)
                    pieces.append("")
        except ValueError:
            return cls((text,), ())
        return cls(tuple(pieces), tuple(names))

    @property
    def open_ended(self) -> Template:
        """Without the spaces beside a value at an end: where that value is empty they are not there."""
        pieces = list(self.pieces)
        opened = [False, False]
        if not pieces[0] and pieces[1].strip():
            opened[0] = pieces[1] != pieces[1].lstrip()
            pieces[1] = pieces[1].lstrip()
        if not pieces[-1] and pieces[-2].strip():
            opened[1] = pieces[-2] != pieces[-2].rstrip()
            pieces[-2] = pieces[-2].rstrip()
        return Template(tuple(pieces), self.names, (opened[0], opened[1]))

    @property
    def verbatim(self) -> frozenset[str]:
        """The names whose values stand between backticks: code, which is the same in every language."""
        before = itertools.accumulate(piece.count("`") for piece in self.pieces)
        return frozenset(name for name, count in zip(self.names, before, strict=False) if count % 2)

    @property
    def letters(self) -> int:
        """How many letters it fixes."""
        return sum(map(str.isalpha, "".join(self.pieces)))

    def values(self, text: str) -> dict[str, str] | None:
        """What stands in the places of the names, each as short as can be; None where the text has other words.

        Of names without a word between them the first has all, and the others are left out. The time is in proportion
        to the text: a piece is looked for behind the one before, and never anew.
        """
        first, last = self.pieces[0], self.pieces[-1]
        at, end = len(first), len(text) - len(last)
        if at > end or not text.startswith(first) or not text.endswith(last):
            return None
        found: dict[str, str] = {}
        first_of_several = ""
        for number, (name, piece) in enumerate(zip(self.names, self.pieces[1:], strict=True), 1):
            owner = first_of_several or name
            if number < len(self.names) and not piece:
                first_of_several = owner
                continue
            to = end if number == len(self.names) else text.find(piece, at, end)
            value = text[at:to].strip() if at == 0 or to == len(text) else text[at:to]
            if to > at and not self._stands_apart(text[at:to], at == 0, to == len(text)):
                return None
            if to < 0 or found.setdefault(owner, value) != value:
                return None
            at, first_of_several = to + len(piece), ""
        return found

    def _stands_apart(self, value: str, first: bool, last: bool) -> bool:
        """Whether the space that was left out beside a value at an end is there: no word is cut into two."""
        return (value[-1].isspace() or not (first and self.open_at[0])) and (
            value[0].isspace() or not (last and self.open_at[1])
        )

    def filled(self, values: Mapping[str, str]) -> str:
        pairs = zip(self.pieces, (*(values.get(name, "") for name in self.names), ""), strict=True)
        return "".join(piece + value for piece, value in pairs)


class _Book:
    """One language's catalogue."""

    def __init__(self, path: Path) -> None:
        self.texts = {text: translation for text, translation in entries(path) if translation}

    @cached_property
    def _plain(self) -> dict[str, str]:
        """Texts without values."""
        pairs = ((Template.read(text.strip()), translation) for text, translation in self.texts.items())
        return {text.pieces[0]: Template.read(to.strip()).filled({}) for text, to in pairs if not text.names}

    @cached_property
    def _templates(self) -> list[tuple[Template, Template]]:
        """Texts with values, those that fix the most first."""
        pairs = [(Template.read(text.strip()), Template.read(to.strip())) for text, to in self.texts.items()]
        usable = [(text.open_ended, to) for text, to in pairs if text.names and text.letters >= _LEAST_LETTERS]
        return sorted(usable, key=lambda pair: (-pair[0].letters, -sum(map(len, pair[0].pieces))))

    def say(self, text: str) -> str:
        """The text as a whole, else as far as its parts are known; the space around it stays."""
        core = text.strip()
        if not core:
            return text
        said = self._whole(core)
        if said is None and core.endswith(":") and (place := self._whole(core[:-1])) is not None:
            said = f"{place}:"
        if said is None:
            said = self._in_parts(core)
        head, _, tail = text.partition(core)
        return head + said + ("" if said.endswith(_WIDE) and tail == " " else tail)

    def _whole(self, text: str) -> str | None:
        if text in self._plain:
            return self._plain[text]
        for template, translation in self._templates:
            values = template.values(text)
            if values is None or any(map(_can_not_be, values.keys(), values.values())):
                continue
            code = template.verbatim
            said = {name: value if name in code else self._value(name, value) for name, value in values.items()}
            return translation.filled(said).strip()
        return None

    def _value(self, name: str, value: str) -> str:
        """A value may be a text of ours too; a single word mostly is somebody's name for something."""
        if name in _OF_OURS:
            return self.texts.get(value, value)
        place = value.rstrip().removesuffix(":")
        if place != value.rstrip() and " " in place:  # where something was found, before what it is
            return f"{self.say(place)}: "
        return self.say(value) if " " in value.strip() else value

    def _in_parts(self, text: str) -> str:
        for border in _BORDERS:
            parts = _joined_within_code(border.split(text))
            if 1 < len(parts) < _MOST_PARTS:
                said = ""
                for number, part in enumerate(parts):
                    if number % 2:  # what stands between
                        said += "" if part == " " and said.endswith(_WIDE) else part
                    else:
                        said += self.say(part)
                return said
        return text


def _joined_within_code(parts: list[str]) -> list[str]:
    """Parts and what stands between them, in turn; a border between backticks is none."""
    joined = parts[:1]
    for border, part in zip(parts[1::2], parts[2::2], strict=True):
        if joined[-1].count("`") % 2:
            joined[-1] += border + part
        else:
            joined += [border, part]
    return joined


def _can_not_be(name: str, value: str) -> bool:
    """Whether a value is none of that name."""
    return "\n" in value or (name in _NUMBERS and not _NUMBER.fullmatch(value))


@cache
def _book(language: str) -> _Book | None:
    return _Book(CATALOGUES / f"{language}.po") if language in languages() else None


def _of_windows() -> str:
    """The tag of the language that Windows shows itself in."""
    if sys.platform != "win32":
        return ""
    import ctypes
    import locale

    return locale.windows_locale.get(ctypes.windll.kernel32.GetUserDefaultUILanguage(), "")
