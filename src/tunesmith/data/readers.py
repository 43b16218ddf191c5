"""One reader per kind of file: path → (line, row) pairs, lazily. A RowError in a row's place says why it is none.

Text readers take the encoding; `advance` is told from time to time how many bytes of the file have been read.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tunesmith.errors import UserError
from tunesmith.text.rows import RowError

Line = tuple[int, Mapping[str, Any] | RowError]
Advance = Callable[[int], None]
Reader = Callable[[Path, str, Advance], Iterator[Line]]

_CHUNK = 4 << 20
_SPACE = re.compile(r"[ \t\r\n]*")
_STRAY = re.compile("[\udc80-\udcff]")
_FIELD_LIMIT = 1 << 30  # characters in a csv cell; the csv module's own limit of 128 KiB cuts long documents off
_KINDS = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "true/false", type(None): "null"}


def read_json(path: Path, encoding: str, advance: Advance) -> Iterator[Line]:
    """An array of objects, or JSON lines under the name .json. Lines are those on which the rows begin."""
    with path.open("rb") as file:
        text = _Text(file, encoding, advance)
        first = text.peek()
        if first == "[":
            yield from _read_array(path, text)
            return
    if first != "{" or not _first_line_is_object(path, encoding):
        if first == "{":
            _check_complete(path, encoding)
        raise UserError(
            f"{path} is not an array of rows; its first character is {first!r}.",
            hint='Expected [{"…": "…"}, …]; one object that holds the rows under a key must be unwrapped.',
            field="dataset",
        )
    yield from read_jsonl(path, encoding, advance)


def read_jsonl(path: Path, encoding: str, advance: Advance) -> Iterator[Line]:
    """One JSON object a line; a damaged line is a RowError, blank lines are passed over."""
    loads = json.loads
    for number, line in _lines(path, encoding, advance):
        if isinstance(line, RowError):
            yield number, line
            continue
        try:
            row = loads(line)
        except json.JSONDecodeError as error:
            yield number, RowError(f"the line is not JSON: {_told(error)} at column {error.colno}", line)
            continue
        yield number, row if type(row) is dict else _not_an_object(row, line)


def read_txt(path: Path, encoding: str, advance: Advance) -> Iterator[Line]:
    """One document a line, under the key `text`; blank lines are passed over."""
    for number, line in _lines(path, encoding, advance):
        yield number, {"text": line} if isinstance(line, str) else line


def read_csv(path: Path, encoding: str, advance: Advance) -> Iterator[Line]:
    """A table with a header; separated by commas, or by semicolons or tabs where the header has no comma.

    Bytes that are not in the encoding cost only their row: it comes as a RowError.
    """
    csv.field_size_limit(_FIELD_LIMIT)
    with path.open("rb") as raw, io.TextIOWrapper(raw, encoding, "surrogateescape", newline="") as file:
        head = file.readline()
        file.seek(0)
        mark = "\t" if path.suffix.lower() == ".tsv" else next((m for m in ",;\t" if m in head), ",")
        table = csv.reader(file, delimiter=mark, strict=True)
        try:
            names = [name.strip() for name in next(table)]
            _check_header(path, names)
            start = table.line_num + 1
            for cells in table:
                if cells and not (len(cells) == 1 and not cells[0].strip()):
                    yield start, _table_row(names, cells, encoding, mark)
                start = table.line_num + 1
                advance(raw.tell())
        except csv.Error as error:
            raise UserError(
                f"{path} is damaged at line {table.line_num}: {error}.",
                hint='Often a quote (") inside a cell that is not doubled, or one that is never closed.',
                field="dataset",
            ) from None
    advance(path.stat().st_size)


def _table_row(names: list[str], cells: list[str], encoding: str, mark: str) -> Mapping[str, Any] | RowError:
    if any(map(_is_damaged, cells)):
        return _not_in(encoding, "row", _written(cells, mark))
    if len(cells) != len(names):
        reason = f"the row has {len(cells)} cells and the header {len(names)}; text with commas needs quotes"
        return RowError(reason, _written(cells, mark))
    return dict(zip(names, cells, strict=True))


def _written(cells: list[str], mark: str) -> str:
    """The cells as a table holds them."""
    line = io.StringIO()
    csv.writer(line, delimiter=mark, lineterminator="").writerow(cells)
    return line.getvalue()


def _check_header(path: Path, names: list[str]) -> None:
    twice = {name for name in names if name and names.count(name) > 1}
    if any(map(_is_damaged, names)):
        raise UserError(f"The first line of {path} names the columns, and it holds damaged bytes.", field="dataset")
    if twice or not any(names):
        found = f"names {', '.join(sorted(twice))} twice" if twice else "is empty"
        raise UserError(f"The first line of {path} must name the columns, and it {found}.", field="dataset")


def _lines(path: Path, encoding: str, advance: Advance) -> Iterator[tuple[int, str | RowError]]:
    """Numbered lines that are not blank, without their line ends; only \\n and \\r\\n end a line.

    Bytes that are not in the encoding cost only their line: it comes as a RowError.
    """
    with path.open("rb") as raw, io.TextIOWrapper(raw, encoding, "surrogateescape", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if number & 1023 == 0:
                advance(raw.tell())
            line = line.rstrip("\r\n")
            if not line or line.isspace():
                continue
            if _is_damaged(line):
                yield number, _not_in(encoding, "line", line)
            else:
                yield number, line
    advance(path.stat().st_size)


def _told(error: json.JSONDecodeError) -> str:
    return error.msg.removesuffix(" at")


def _is_damaged(text: str) -> bool:
    return not text.isascii() and _STRAY.search(text) is not None


def _not_in(encoding: str, what: str, text: str) -> RowError:
    reason = f"the {what} holds bytes that are not {encoding.upper()}; save the file as UTF-8"
    return RowError(reason, _STRAY.sub("\ufffd", text))


def _not_an_object(row: object, text: str) -> RowError:
    return RowError(f"the row is {_KINDS.get(type(row), 'not an object')}, expected an object with named columns", text)


def _first_line_is_object(path: Path, encoding: str) -> bool:
    for _, line in _lines(path, encoding, lambda done: None):
        try:
            return isinstance(line, str) and isinstance(json.loads(line), dict)
        except ValueError:
            return False
    return False


def _check_complete(path: Path, encoding: str) -> None:
    """UserError where one object that fills the file is damaged or breaks off."""
    with path.open("rb") as file:
        text = _Text(file, encoding, lambda done: None)
        text.peek()
        _next_value(path, text, 1)


class _Text:
    """The text of a file of which only the part that is being parsed is held."""

    def __init__(self, file: BinaryIO, encoding: str, advance: Advance) -> None:
        self._file = file
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._advance = advance
        self._line = 1
        self._counted = 0
        self._bytes = 0
        self.ended = False
        self.buffer = ""
        self.at = 0

    def peek(self) -> str:
        """The next character that is not white space, or an empty text at the end."""
        while True:
            match = _SPACE.match(self.buffer, self.at)
            assert match is not None
            self.at = match.end()
            if self.at < len(self.buffer) or self.ended:
                return self.buffer[self.at : self.at + 1]
            self.more()

    def more(self, size: int = _CHUNK) -> None:
        """Read on; what was parsed is let go."""
        self.line_of(self.at)
        chunk = self._file.read(size)
        self._bytes += len(chunk)
        self.ended = not chunk
        rest = self.buffer[self.at :]
        try:
            self.buffer = rest + self._decoder.decode(chunk, final=self.ended)
        except UnicodeDecodeError as error:
            line = self._line + rest.count("\n") + error.object[: error.start].count(b"\n")
            raise UserError(
                f"{self._file.name} holds bytes that are not {self._encoding.upper()} in line {line}.",
                hint="Save the file as UTF-8. As .jsonl, only the damaged line is lost.",
                field="dataset",
            ) from None
        self.at = self._counted = 0
        self._advance(self._bytes)

    def line_of(self, at: int) -> int:
        """The line number of a place in the buffer, which must not lie before the last one asked for."""
        self._line += self.buffer.count("\n", self._counted, at)
        self._counted = at
        return self._line


def _read_array(path: Path, text: _Text) -> Iterator[Line]:
    text.at += 1
    number = 0
    if text.peek() == "]":
        return
    while True:
        number += 1
        text.peek()
        line = text.line_of(text.at)
        row = _next_value(path, text, number)
        yield line, row if type(row) is dict else _not_an_object(row, json.dumps(row, ensure_ascii=False))
        mark = text.peek()
        text.at += 1
        if mark == "]":
            return
        if mark != ",":
            found = f"found {mark!r}" if mark else "the file ends"
            raise _damaged(path, number, text.line_of(text.at - 1), f"expected a comma or ] after the row, {found}")


_decode = json.JSONDecoder().raw_decode


def _next_value(path: Path, text: _Text, number: int) -> object:
    """The JSON value that starts here, reading on until it is complete."""
    size = _CHUNK
    while True:
        try:
            row, text.at = _decode(text.buffer, text.at)
            return row
        except json.JSONDecodeError as error:
            if text.ended:
                inside = error.pos < len(text.buffer)
                what = f"{_told(error)} at column {error.colno}" if inside else "the file ends inside it"
                raise _damaged(path, number, text.line_of(max(error.pos, text.at)), what) from None
            text.more(size)
            size *= 2  # a damaged row is only known as such at the end of the file


def _damaged(path: Path, number: int, line: int, what: str) -> UserError:
    return UserError(
        f"{path} is damaged at row {number}, line {line}: {what}.",
        hint="Often a comma or a quote that is missing there or just before. As .jsonl, only the damaged line is lost.",
        field="dataset",
    )
