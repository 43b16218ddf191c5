"""How tables begin, and what becomes of their columns: for whoever is to say which column is what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.authoring.chats import chats_of
from tunesmith.authoring.convert import ConvertOptions, found_in, located
from tunesmith.authoring.mapping import PARTS, text_column
from tunesmith.authoring.records import RECORDS, read_records
from tunesmith.authoring.sources import LOOKED_AT, ReadingOptions, is_rows, source_of, table_name
from tunesmith.authoring.tables import read_tables
from tunesmith.data.catalog import DatasetEntry
from tunesmith.errors import UserError
from tunesmith.text.rows import RowError

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Head:
    """The first rows of a table. format: what its rows are, "columns" where they are mapped, "" where nothing can be
    made of them, which `problem` tells. parts: the columns that each part of a row is made of."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    format: str
    parts: Mapping[str, Sequence[str]]
    guessed: bool = False
    problem: UserError | None = None


def heads(names: Sequence[str], options: ConvertOptions) -> Iterator[Head]:
    """The tables among sources, as far as they can be read; no more of each than tells what its rows are.

    UserError where a source is not there, or is the only one and can't be read.
    """
    reading = options.reading
    paths, entries = located(names, options.dataset_dir)
    found = found_in(paths)
    for path in found.documents:
        if not is_rows(path) or reading.as_text:
            continue
        try:
            yield from _in_file(path, reading, entries.get(path))
        except UserError:
            if len(found.documents) == 1:
                raise


def _in_file(path: Path, reading: ReadingOptions, entry: DatasetEntry | None) -> Iterator[Head]:
    if path.suffix.lower() in RECORDS:
        read = [row for _, row in islice(read_records(path), LOOKED_AT)]
        rows = [row for row in read if not isinstance(row, RowError)]
        if rows and not all(map(chats_of, rows)):
            columns = list(dict.fromkeys(key for row in rows for key in row))
            yield _head(path.name, columns, rows, reading, entry)
        return
    for table in read_tables(path, header=reading.header):
        if not reading.sheets or not table.name or table.name in reading.sheets:
            sample = [row for _, row in islice(table.rows, LOOKED_AT)]
            yield _head(table_name(path, table), list(table.columns), sample, reading, entry)


def _head(
    name: str,
    columns: list[str],
    sample: Sequence[Mapping[str, Any]],
    reading: ReadingOptions,
    entry: DatasetEntry | None,
) -> Head:
    shown = sample[:_SHOWN]
    try:
        source = source_of(name, columns, sample, iter(()), reading, entry, [])
    except UserError as error:
        guess = {part: (column,) for part, column in reading.wanted.guess(columns).items()}
        return Head(name, columns, shown, "", guess, guessed=True, problem=error)
    if source.mappings:
        parts = {
            part: tuple(dict.fromkeys(column for mapping in source.mappings for column in mapping.columns(part)))
            for part in PARTS
        }
        guessed = source.mappings[0].guessed
        return Head(name, columns, shown, source.format, {k: v for k, v in parts.items() if v}, guessed=guessed)
    if source.format == "text":
        column = "text" if "text" in columns else text_column(columns)
        return Head(name, columns, shown, "text", {"text": (column,)} if column else {}, guessed=True)
    return Head(name, columns, shown, source.format, {name: (name,) for name in columns if name in PARTS}, guessed=True)
