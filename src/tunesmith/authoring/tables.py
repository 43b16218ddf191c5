"""Tables out of spreadsheets and csv files: which row names the columns, merged cells filled, empty rows told."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tunesmith.authoring.archive import check_archive
from tunesmith.authoring.document import read_as
from tunesmith.data.encoding import detect_encoding
from tunesmith.errors import UserError
from tunesmith.i18n import plural

CSV = (".csv", ".tsv")
SHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")
_LOOKED_AT = 20  # rows among which the one that names the columns is looked for
_LONG = 60  # characters: a longer cell is no column's name
_CELL_LIMIT = 1 << 30
Cells = list[str]


@dataclass(slots=True)
class Table:
    """A sheet, or a csv file. rows: (row number as the program shows it, column → text), read as they are asked for.

    name: the sheet's, '' for a csv file. notes: complete when the rows were read.
    """

    name: str
    columns: tuple[str, ...]
    rows: Iterator[tuple[int, dict[str, str]]]
    notes: list[str] = field(default_factory=list)


def read_tables(path: Path, *, header: int | None = None) -> Iterator[Table]:
    """The tables of a file, sheet by sheet; each must be read before the next is asked for.

    header: the row that names the columns, from 1; 0 where there is none (columns are then called A, B, C …); None
    finds it out. UserError where the file is damaged or locked, or a table names a column twice.
    """
    source = _csv_grids(path) if path.suffix.lower() in CSV else _sheet_grids(path)
    some = False
    for name, grid, merged, notes in source:
        table = _table(path, name, grid, merged, header, notes)
        if table is not None:
            some = True
            yield table
    if not some:
        raise UserError(f"{path} holds no table with rows.")


Grid = Iterator[tuple[int, Cells]]
Merged = Sequence[tuple[tuple[int, int], tuple[int, int]]]
"""Ranges ((first row, first column), (last row, last column)), from 0."""


def _csv_grids(path: Path) -> Iterator[tuple[str, Grid, Merged, list[str]]]:
    encoding = detect_encoding(path)
    yield "", _csv_rows(path, encoding), (), [note.text for note in read_as(path, encoding)]


def _csv_rows(path: Path, encoding: str) -> Grid:
    csv.field_size_limit(_CELL_LIMIT)  # of the whole process, for the module knows no other
    with path.open("rb") as raw, io.TextIOWrapper(raw, encoding, newline="") as file:
        mark = "\t" if path.suffix.lower() == ".tsv" else _delimiter(file.read(1 << 16))
        file.seek(0)
        reader = csv.reader(file, delimiter=mark, strict=True)
        line = 1
        try:
            for cells in reader:
                yield line, [cell.strip() for cell in cells]
                line = reader.line_num + 1
        except csv.Error as error:
            raise UserError(
                f"{path} is damaged at line {reader.line_num}: {error}.",
                hint='Often a quote (") inside a cell that is not doubled, or one that is never closed.',
            ) from None
        except UnicodeError as error:
            raise UserError(f"{path} looks like {encoding} and has bytes that are not: {error}.") from None


def _delimiter(head: str) -> str:
    """The mark that cuts the first lines into the most cells, alike in each."""
    lines = [line for line in head.splitlines()[:_LOOKED_AT] if line.strip()]

    def cells(mark: str) -> int:
        counts = [len(row) for row in csv.reader(lines, delimiter=mark)]
        return min(counts, default=1) * len(lines) + sum(counts)

    return max((",", ";", "\t", "|"), key=cells)


def _sheet_grids(path: Path) -> Iterator[tuple[str, Grid, Merged, list[str]]]:
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum

    if path.suffix.lower() in (".xlsx", ".xlsm", ".xlsb", ".ods"):
        check_archive(path, streamed=True)
    try:
        with CalamineWorkbook.from_path(path) as book:
            for about in book.sheets_metadata:
                if about.typ != SheetTypeEnum.WorkSheet:
                    continue
                sheet = book.get_sheet_by_name(about.name)
                if sheet.start is None:
                    continue
                left = sheet.start[1]  # cells begin at the first column in use, rows at the first of the sheet
                grid = (
                    (number, ["" for _ in range(left)] + [_text(cell) for cell in row])
                    for number, row in enumerate(sheet.iter_rows(), 1)
                )
                yield about.name, grid, sheet.merged_cell_ranges or (), []
    except PasswordError:
        raise UserError(f"{path} is locked with a password.", hint="Save it without a password.") from None
    except CalamineError as error:
        raise _damaged(path, str(error)) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what damaged .xls files do to the library; no Exception
            raise
        raise _damaged(path, "its parts don't fit together") from None


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} is damaged or no {path.suffix.lower()} file ({reason}).", hint="Open it in Excel and save it anew."
    )


def _text(cell: Any) -> str:
    """A cell as a person would write it."""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime.datetime):
        return cell.date().isoformat() if cell.time() == datetime.time() else cell.isoformat(" ")
    return "" if cell is None else str(cell).strip()


def _table(path: Path, name: str, grid: Grid, merged: Merged, header: int | None, notes: list[str]) -> Table | None:
    head = list(islice(grid, max(_LOOKED_AT, header or 0)))
    width = max((_used(cells) for _, cells in head), default=0)
    if width == 0:
        return None
    where = f"{path.name}{f', sheet {name}' if name else ''}"
    first, names = _header(where, head, merged, header, notes)
    covered = _Merged(merged)
    named = _distinct(where, names, width, notes)
    body = ((number, covered.filled(number, cells)) for number, cells in chain(head, grid) if number >= first)
    return Table(name, tuple(named.values()), _rows(where, named, body, notes), notes)


def _rows(
    where: str, named: dict[int, str], body: Iterator[tuple[int, Cells]], notes: list[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    empty, ragged = 0, list[int]()
    for number, cells in body:
        if not any(cells):
            empty += 1
        elif any(cell and at not in named for at, cell in enumerate(cells)):
            ragged.append(number)
        else:
            yield number, {name: cells[at] if at < len(cells) else "" for at, name in named.items()}
    if empty:
        told = plural("{count:,} empty row is passed over", "{count:,} empty rows are passed over", empty)
        notes.append(f"{where}: {told}.")
    if ragged:
        told = plural(
            "{count:,} row has more cells than the header and is left out",
            "{count:,} rows have more cells than the header and are left out", len(ragged),
        )  # fmt: skip
        notes.append(f"{where}: {told} (first: row {ragged[0]}); in a csv file, text with commas needs quotes.")


class _Merged:
    """Merged cells: all of them hold what the first one does."""

    def __init__(self, ranges: Merged) -> None:
        self._by_row: dict[int, list[tuple[int, int, int]]] = {}
        for (top, left), (bottom, right) in ranges:
            for row in range(top, bottom + 1):
                self._by_row.setdefault(row + 1, []).append((top + 1, left, right))
        self._values: dict[tuple[int, int], str] = {}

    def filled(self, number: int, cells: Cells) -> Cells:
        for top, left, right in self._by_row.get(number, ()):
            if number == top:
                self._values[top, left] = cells[left] if left < len(cells) else ""
            value = self._values.get((top, left), "")
            cells = cells + [""] * (right + 1 - len(cells))
            cells[left : right + 1] = [value] * (right + 1 - left)
        return cells


def _header(
    where: str, head: list[tuple[int, Cells]], merged: Merged, asked: int | None, notes: list[str]
) -> tuple[int, Cells]:
    """(number of the first row of data, names of the columns by place; '' where a column has none)."""
    if asked == 0:
        return 1, []
    if asked is not None:
        cells = next((cells for number, cells in head if number == asked), [])
        if not any(cells):
            raise UserError(f"{where}: row {asked} is to name the columns, and it is empty.", field="header")
        return asked + 1, cells
    widest = max(sum(map(bool, cells)) for _, cells in head)
    at = next(i for i, (_, cells) in enumerate(head) if sum(map(bool, cells)) >= min(2, widest))
    number, cells = head[at]
    below = head[at + 1][1] if at + 1 < len(head) else []
    if titles := [text for _, row in head[:at] for text in row if text]:
        notes.append(f"{where}: the columns are named by row {number}; above it stands: {' / '.join(titles)[:80]}.")
    if not _names_columns(cells, below):
        notes.append(f"{where}: no row names the columns; they are called {', '.join(map(_letter, range(widest)))}.")
        return number, []
    spans = [(left, right) for (top, left), (_, right) in merged if top + 1 == number and right > left]
    if spans and below:
        cells = cells + [""] * (max(len(below), *(right + 1 for _, right in spans)) - len(cells))
        for left, right in spans:
            cells[left : right + 1] = [cells[left]] * (right + 1 - left)
        below = below + [""] * (len(cells) - len(below))
        return number + 2, [f"{top} {sub}".strip() if sub else top for top, sub in zip(cells, below, strict=True)]
    return number + 1, cells


def _names_columns(cells: Cells, below: Cells) -> bool:
    """Whether a row reads like names: short, no numbers, no two alike, and something stands below."""
    names = [cell for cell in cells if cell]
    return (
        any(below)
        and len(set(names)) == len(names)
        and all(len(name) <= _LONG and not _is_number(name) for name in names)
        and not any(name.endswith(("？", "?", "。", "！")) for name in names)
    )


def _is_number(text: str) -> bool:
    return not any(char.isalpha() for char in text)


def _distinct(where: str, names: Cells, width: int, notes: list[str]) -> dict[int, str]:
    """Place → name, all different; a column without one is called by its letter."""
    named: dict[int, str] = {}
    for at in range(max(width, _used(names))):
        name = " ".join((names[at] if at < len(names) else "").split()) or _letter(at)
        if name in named.values():
            other, name = name, f"{name} ({_letter(at)})"
            notes.append(f"{where}: two columns are called {other!r}; the second is {name!r} here.")
        named[at] = name
    return named


def _letter(at: int) -> str:
    """The letter of a column as spreadsheets have it: A … Z, AA …"""
    letters = ""
    at += 1
    while at:
        at, rest = divmod(at - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _used(cells: Cells) -> int:
    """Cells up to the last one that holds something."""
    return max((at + 1 for at, cell in enumerate(cells) if cell), default=0)
