"""Spreadsheets and csv files as text: a passage per row, each cell after its column's name, under the sheet's name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tunesmith.authoring.document import READERS, Block, Heading, Note, Passage
from tunesmith.authoring.tables import CSV, SHEETS, read_tables


@READERS.member(*CSV, *SHEETS)
def read_table(path: Path) -> Iterator[Block]:
    for table in read_tables(path):
        if table.name:
            yield Heading(1, table.name)
        for _, row in table.rows:
            yield Passage("\n".join(f"{name}: {value}" for name, value in row.items() if value))
        yield from map(Note, table.notes)
