"""Changing dataset_info.json in its own text: what is not touched keeps its place, its spacing and its spelling."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.config.places import cache_folder
from tunesmith.data.encoding import decode_file
from tunesmith.data.entry import INFO
from tunesmith.errors import UserError, did_you_mean
from tunesmith.runs.files import replace_text

_LOCK_SECONDS = 60
_LONGEST = 180  # bytes; file systems take 255, and a file is written aside under a longer name
_NOT_IN_NAMES = set(',/\\:*?"<>|=')
_WORDS = ("ONLINE", "REMOTE")
Entry = Mapping[str, Any]


class _Span(NamedTuple):
    """Where an entry stands in the text: its key [start, key_end), its value [value, end)."""

    name: str
    start: int
    key_end: int
    value: int
    end: int


class CatalogFile:
    """The text of a dataset_info.json and the changes to make in it. Each change is one entry's."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        self._saved = text
        self._spans = _spans(path, text)

    def save(self) -> None:
        """Write what was changed; nothing where nothing was. UserError where the file can't be written."""
        if self.text != self._saved:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_text(self.path, self.text, field="dataset_dir")
            self._saved = self.text

    @property
    def entries(self) -> dict[str, Any]:
        """Name → entry as it stands, in order."""
        return {span.name: json.loads(self.text[span.value : span.end]) for span in self._spans}

    @property
    def files(self) -> dict[str, Path]:
        """Name → the file or folder on this machine that it stands for, however it is spelled."""
        named = {name: entry.get("file_name") for name, entry in self.entries.items() if isinstance(entry, dict)}
        return {name: (self.path.parent / file).resolve() for name, file in named.items() if isinstance(file, str)}

    def put(self, name: str, entry: Entry) -> None:
        """Add an entry at the end, or give the one of that name another value in its place."""
        wanted = self.entries | {name: dict(entry)}
        span = next((span for span in self._spans if span.name == name), None)
        if span is not None:
            self._change(span.value, span.end, self._value(entry), wanted)
            return
        key = json.dumps(name, ensure_ascii=False)
        if not self._spans:
            inner = f"{{{self._line_end}  {key}: {self._value(entry)}{self._line_end}}}"
            start = self.text.index("{") if "{" in self.text else 0
            end = self.text.rindex("}") + 1 if "}" in self.text else len(self.text)
            self._change(start, end, inner if self.text.strip("\ufeff \r\n\t") else inner + "\n", wanted)
            return
        last = self._spans[-1].end
        self._change(last, last, f",{self._between}{key}: {self._value(entry)}", wanted)

    def remove(self, name: str) -> None:
        spans, at = self._spans, self._index(name)
        wanted = {key: value for key, value in self.entries.items() if key != name}
        if len(spans) == 1:
            self._change(self.text.index("{") + 1, self.text.rindex("}"), "", wanted)
        elif at == 0:
            self._change(spans[0].start, spans[1].start, "", wanted)
        else:
            self._change(spans[at - 1].end, spans[at].end, "", wanted)

    def rename(self, name: str, new: str) -> None:
        span = self._spans[self._index(name)]
        wanted = {new if key == name else key: value for key, value in self.entries.items()}
        self._change(span.start, span.key_end, json.dumps(new, ensure_ascii=False), wanted)

    def _index(self, name: str) -> int:
        names = [span.name for span in self._spans]
        if name not in names:
            hint = did_you_mean(name, names) or (f"Known names: {', '.join(names)}." if names else "It names none.")
            raise UserError(f"{self.path} has no data set called {name!r}.", hint=hint, field="dataset")
        return names.index(name)

    def _change(self, start: int, end: int, text: str, wanted: Mapping[str, Any]) -> None:
        changed = self.text[:start] + text + self.text[end:]
        read = json.loads(changed.removeprefix("\ufeff"))
        assert list(read.items()) == list(wanted.items()), "the change touched more than its entry"
        self.text = changed
        self._spans = _spans(self.path, changed)

    @property
    def _line_end(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    @property
    def _between(self) -> str:
        """The white space before a key, as the first entry has it."""
        start = self._spans[0].start
        before = self.text[:start]
        space = before[len(before.rstrip()) :]
        return space if "\n" in space else space or " "

    def _value(self, entry: Entry) -> str:
        between = self._between if self._spans else f"{self._line_end}  "
        if "\n" not in between:
            return json.dumps(entry, ensure_ascii=False)
        indent = between.rpartition("\n")[2] or "  "
        return json.dumps(entry, ensure_ascii=False, indent=indent).replace("\n", f"{self._line_end}{indent}")


def _spans(path: Path, text: str) -> list[_Span]:
    try:
        spans = list(_scan(text))
    except (ValueError, IndexError) as error:
        where = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UserError(
            f"{path} is damaged{where}: {getattr(error, 'msg', error)}.",
            hint="Often a comma too many or too few, or a quote that is missing.",
            field="dataset_dir",
        ) from None
    first: dict[str, _Span] = {}
    for span in spans:
        if (earlier := first.setdefault(span.name, span)) is not span:
            lines = " and ".join(str(text.count("\n", 0, one.start) + 1) for one in (earlier, span))
            raise UserError(
                f"{path} names the data set {span.name!r} twice, in lines {lines}.",
                hint="Rename one of them, or take it out.",
                field="dataset_dir",
            )
    return spans


def _scan(text: str) -> Iterator[_Span]:
    if not text.strip("\ufeff \r\n\t"):
        return
    if not isinstance(json.loads(text.removeprefix("\ufeff")), dict):
        raise ValueError("expected an object: name → entry")
    decode = json.JSONDecoder().raw_decode
    at = _past_space(text, text.index("{") + 1)
    while text[at] != "}":
        start = _past_space(text, at + 1) if text[at] == "," else at
        name, key_end = decode(text, start)
        value = _past_space(text, text.index(":", key_end) + 1)
        _, end = decode(text, value)
        yield _Span(name, start, key_end, value, end)
        at = _past_space(text, end)


def _past_space(text: str, at: int) -> int:
    while text[at].isspace():
        at += 1
    return at


def info_path(dataset_dir: str | Path) -> Path:
    """The dataset_info.json of a folder, or the file itself where that is given; UserError for places on a hub."""
    text = str(dataset_dir)
    if text == "ONLINE" or text.startswith("REMOTE:"):
        raise UserError(
            f"{text} is no folder that data sets can be written to.",
            hint="Give a folder: --dataset-dir data",
            field="dataset_dir",
        )
    path = Path(dataset_dir)
    return path if path.suffix == ".json" else path / INFO


def check_name(name: str) -> str:
    """The name, if a data set and its file can be called so; UserError otherwise."""
    if len(name.encode("utf-8")) > _LONGEST:
        raise UserError(
            f"A data set can't be called {name[:30]!r}…: its name has {len(name)} characters.",
            hint="A shorter name fits into the name of a file.",
            field="out",
        )
    wrong = sorted(char for char in set(name) if char in _NOT_IN_NAMES or ord(char) < 32)
    if wrong or not name.strip() or name != name.strip() or name.startswith((".", "-")) or name in _WORDS:
        why = f"it holds {' '.join(map(repr, wrong))}" if wrong else "it is empty, or begins or ends with a mark"
        raise UserError(
            f"A data set can't be called {name!r}: {why}.",
            hint="Use letters (of any language), digits, - and _.",
            field="out",
        )
    return name


@contextmanager
def edited(dataset_dir: str | Path) -> Iterator[CatalogFile]:
    """A dataset_info.json to be changed: written at once when the block ends well, left alone when it fails.

    Others that edit the same file wait for it meanwhile. A file that is not there is made with the first entry.
    """
    from filelock import FileLock, Timeout

    path = info_path(dataset_dir).absolute()
    locks = cache_folder() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.lock", timeout=_LOCK_SECONDS)
    try:
        with lock:
            file = CatalogFile(path, _text(path))
            yield file
            file.save()
    except Timeout:
        raise UserError(
            f"Another process has been changing {path} for {_LOCK_SECONDS} s.", hint="Wait for it, or end it."
        ) from None


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    if path.stat().st_size == 0:
        return ""
    with path.open("rb") as file:
        head = file.read(3)
    if head == b"\xef\xbb\xbf":
        return path.read_bytes().decode("utf-8")  # with its mark, which is written back
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return decode_file(path)[0]
