"""Readers of binary tables: parquet, arrow, spreadsheets. Rows are numbered from 1 (a sheet's as it shows them)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunesmith.data.readers import Advance, Line
from tunesmith.errors import UserError

_BATCH = 1024


def read_parquet(path: Path, encoding: str, advance: Advance) -> Iterator[Line]:
    from pyarrow import parquet

    with _told(path, "parquet"), parquet.ParquetFile(path) as file:
        rows = max(1, file.metadata.num_rows)
        yield from _batches(file.iter_batches(batch_size=_BATCH), path, rows, advance)


def read_arrow(path: Path, encoding: str, advance: Advance) -> Iterator[Line]:
    """An Arrow file, or an Arrow stream as the datasets package writes it."""
    import pyarrow

    with _told(path, "arrow"), pyarrow.memory_map(str(path)) as mapped:
        try:
            file = pyarrow.ipc.open_file(mapped)
            batches: Iterator[Any] = (file.get_batch(i) for i in range(file.num_record_batches))
        except pyarrow.ArrowInvalid:
            mapped.seek(0)
            batches = iter(pyarrow.ipc.open_stream(mapped))
        yield from _batches(batches, path, 0, advance)


def read_xlsx(path: Path, encoding: str, advance: Advance) -> Iterator[Line]:
    """The first sheet: its first row names the columns, cells are taken as text."""
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError) as error:
        raise UserError(f"{path} is not a spreadsheet that can be read: {error}.", field="dataset") from None
    try:
        rows = book.worksheets[0].iter_rows(values_only=True)
        names = [str(name).strip() if name is not None else "" for name in next(rows, ())]
        if not any(names):
            raise UserError(f"The first row of {path} must name the columns, and it is empty.", field="dataset")
        for number, cells in enumerate(rows, 2):
            texts = [None if cell is None else str(cell) for cell in cells]
            if any(texts):
                yield number, {name: text for name, text in zip(names, texts, strict=False) if name}
    finally:
        book.close()
    advance(path.stat().st_size)


def _batches(batches: Iterator[Any], path: Path, rows: int, advance: Advance) -> Iterator[Line]:
    size, number = path.stat().st_size, 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield number, row
        if rows:
            advance(size * number // rows)
    advance(size)


@contextmanager
def _told(path: Path, kind: str) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except pyarrow.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is damaged or no {kind} file: {reason.rstrip('.')}.", field="dataset") from None
