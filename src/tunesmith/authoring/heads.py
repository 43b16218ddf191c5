"""How tables begin, and what becomes of their columns: for whoever is to say which column is what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.authoring.convert import ConvertOptions, found_in, located
from tunesmith.authoring.mapping import PARTS, text_column
from tunesmith.authoring.sources import ReadingOptions, Source, Unclear, has_rows, open_rows
from tunesmith.errors import UserError


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


def heads(
    names: Sequence[str], options: ConvertOptions, most: int, before_file: Callable[[], None] = lambda: None
) -> tuple[list[Head], int]:
    """The first tables among sources, and how many there are beyond: sheets of files that were opened, and files.

    before_file: called before each file is opened. UserError where a source is not there, or is the only one and can't
    be read.
    """
    reading = replace(options.reading, named=tuple(map(Path, names)))
    paths, entries = located(names, options.dataset_dir)
    documents = found_in(paths).documents
    files = [path for path in documents if has_rows(path, reading)]
    found: list[Head] = []
    for number, path in enumerate(files):
        if len(found) >= most:
            return found[:most], len(found) - most + len(files) - number
        before_file()
        try:
            opened = open_rows(path, reading, entries.get(path))
        except UserError:
            if len(documents) == 1:
                raise
            continue
        found += [_head(one, reading) for one in opened if one.columns]  # an exported chat has none
    return found[:most], max(0, len(found) - most)


def _head(source: Source | Unclear, reading: ReadingOptions) -> Head:
    columns, shown = source.columns, source.shown
    if isinstance(source, Unclear):
        guess = {part: (column,) for part, column in reading.wanted.guess(columns).items()}
        return Head(source.name, columns, shown, "", guess, guessed=True, problem=source.error)
    return Head(source.name, columns, shown, source.format, dict(_parts(source)), guessed=_is_guessed(source))


def _parts(source: Source) -> Iterator[tuple[str, tuple[str, ...]]]:
    if source.format == "text" and not source.mappings:
        column = "text" if "text" in source.columns else text_column(source.columns)
        if column:
            yield "text", (column,)
        return
    for part in PARTS:
        own = (part,) if not source.mappings and part in source.columns else ()
        mapped = (column for mapping in source.mappings for column in mapping.columns(part))
        if taken := own or tuple(dict.fromkeys(mapped)):
            yield part, taken


def _is_guessed(source: Source) -> bool:
    return source.mappings[0].guessed if source.mappings else True
