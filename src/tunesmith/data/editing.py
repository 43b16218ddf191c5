"""Changing the rows of a data file in place: written aside and put there at once, in the file's own form and order."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from tunesmith.data.sources import SourceFile, SourceRow, read_rows
from tunesmith.errors import UserError
from tunesmith.runs.files import told_plainly
from tunesmith.text.rows import RowError

Row = Mapping[str, Any]
EDITABLE = (".json", ".jsonl", ".csv", ".tsv", ".parquet")
UNREADABLE: Row = {}
"""Stands for a row that is kept although it can't be read."""


def revision(path: Path) -> str:
    """Changes whenever the file does."""
    facts = path.stat()
    return f"{facts.st_mtime_ns:x}-{facts.st_size:x}"


def row_of(source: SourceFile, text: str) -> Row:
    """The row that a person wrote in the file's own form: a line of a table, else a JSON object. UserError for none."""
    _check_kind(source.path)
    if source.path.suffix.lower() in (".csv", ".tsv"):
        return _table_row(source, text)
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"The row is not JSON: {error.msg.removesuffix(' at')} at line {error.lineno}, column {error.colno}.",
            hint='Expected {"…": "…"}. Often a quote or a comma is missing just before.',
            field="text",
        ) from None
    if not isinstance(row, dict):
        raise UserError(
            "The row is JSON, but not an object with named columns.", hint='Expected {"…": "…"}.', field="text"
        )
    return row


def replace_row(source: SourceFile, number: int, row: Row) -> None:
    """Put another row in the place of the number-th (from 0) of the file. UserError where it doesn't fit into it."""
    if not row:
        raise UserError("The new row holds nothing.", hint="Write something into it, or take the row out.")

    def change(at: int, before: SourceRow) -> Row | None:
        return row if at == number else _as_it_is(before)

    _rewrite(source, change, changed=row, number=number)


def keep_rows(source: SourceFile, wanted: Callable[[int, SourceRow], bool], removed: Path) -> int:
    """Leave out the rows that are not wanted; they are added to the file `removed`, one JSON line each. How many."""
    _check_kind(source.path)
    left: list[str] = []
    for number, before in enumerate(read_rows([source])):
        if not wanted(number, before):
            reason = before.row.reason if isinstance(before.row, RowError) else None
            row = None if reason else before.row
            line = {"file": source.path.name, "line": before.line, "row": row, "reason": reason}
            left.append(json.dumps(line, ensure_ascii=False, default=str))
    if not left:
        return 0
    with told_plainly(removed, "dataset_dir"), removed.open("a", encoding="utf-8", newline="\n") as file:
        file.write("\n".join(left) + "\n")
    _rewrite(source, lambda at, before: _as_it_is(before) if wanted(at, before) else None)
    return len(left)


def taken_out(source: SourceFile) -> Path:
    """Where rows go that are taken out. Not a name that rows are read from: the folder may be a data set."""
    return source.path.with_name(f"{source.path.stem}.removed.txt")


def put_back(source: SourceFile, line: str) -> None:
    """Add a row that was taken out to the end of the file. line: as it stands in the file beside it."""
    aside = taken_out(source)
    lines = aside.read_text(encoding="utf-8").splitlines() if aside.is_file() else []
    if line not in lines or (row := json.loads(line).get("row")) is None:
        raise UserError("This row is not among those that were taken out.", hint="Look at them anew.")
    _rewrite(source, lambda at, before: _as_it_is(before), added=row)
    lines.remove(line)
    with _aside(aside, "utf-8") as file:
        file.writelines(f"{one}\n" for one in lines)


def _as_it_is(before: SourceRow) -> Row:
    """The row itself; UNREADABLE for one that only a file of lines can keep."""
    return UNREADABLE if isinstance(before.row, RowError) else before.row


def _check_kind(path: Path) -> None:
    if path.suffix.lower() not in EDITABLE:
        raise UserError(
            f"Rows of {path.name} can't be changed here; those of {', '.join(EDITABLE)} files can.",
            hint="Change it in the program it was made with, or save it as .jsonl.",
        )


def _rewrite(
    source: SourceFile,
    change: Callable[[int, SourceRow], Row | None],
    *,
    changed: Row | None = None,
    number: int | None = None,
    added: Row | None = None,
) -> None:
    """change: what stands where a row stood, None for nothing. number: a row that must be there. added: a last row."""
    path = source.path
    _check_kind(path)
    suffix = path.suffix.lower()
    if suffix == ".jsonl" or (suffix == ".json" and _holds_lines(source)):
        _rewrite_lines(source, change, number, added)
        return
    rows: list[Row | str] = []
    seen = -1
    for seen, before in enumerate(read_rows([source])):
        after = change(seen, before)
        if after is UNREADABLE:
            rows.append(_kept_text(path, before))
        elif after is not None:
            rows.append(after)
    _check_seen(path, number, seen)
    rows += [] if added is None else [added]
    if suffix == ".parquet":
        _write_parquet(path, rows)
        return
    with _aside(path, source.encoding) as file:
        if suffix == ".json":
            _write_json(file, rows)
        else:
            _write_table(file, rows, _header(source), _mark(source), changed)


def _kept_text(path: Path, before: SourceRow) -> str:
    """What stands in the place of a row that can't be read, to be written again. UserError where it is damaged."""
    assert isinstance(before.row, RowError)
    if before.row.text is None or "\ufffd" in before.row.text:
        raise UserError(
            f"{path.name} has a row that can't be read: line {before.line}, {before.row.reason}.",
            hint="Correct or remove that row first.",
        )
    return before.row.text


def _holds_lines(source: SourceFile) -> bool:
    """Whether a .json file holds one object a line rather than an array."""
    with source.path.open(encoding=source.encoding, errors="replace") as file:
        return file.read(1024).lstrip().startswith("{")


def _rewrite_lines(
    source: SourceFile, change: Callable[[int, SourceRow], Row | None], number: int | None, added: Row | None
) -> None:
    """Lines that are not touched stay as they are, to the byte."""
    path = source.path
    seen, line = -1, 0
    with _aside(path, source.encoding) as file, path.open("rb") as raw:
        before_text = io.TextIOWrapper(raw, source.encoding, "surrogateescape", newline="\n")
        for seen, before in enumerate(read_rows([source])):
            *blank, own = itertools.islice(before_text, before.line - line)
            own = own if own.endswith("\n") or added is None else own + "\n"
            line = before.line
            after = change(seen, before)
            file.writelines(blank)
            if after is UNREADABLE or after is before.row:
                file.write(own)
            elif after is not None:
                file.write(json.dumps(after, ensure_ascii=False) + "\n")
        file.writelines(before_text)
        file.write("" if added is None else json.dumps(added, ensure_ascii=False) + "\n")
        _check_seen(path, number, seen)


def _check_seen(path: Path, number: int | None, last: int) -> None:
    if number is not None and not 0 <= number <= last:
        raise UserError(f"{path.name} has no row {number}; its last is {last}.")


@contextmanager
def _aside(path: Path, encoding: str) -> Iterator[TextIO]:
    """A file that takes the place of `path` when the block ends well."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with told_plainly(path, "dataset_dir"):
        try:
            with aside.open("w", encoding=encoding or "utf-8", errors="surrogateescape", newline="") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)


def _write_json(file: TextIO, rows: list[Row | str]) -> None:
    file.write("[\n")
    for number, row in enumerate(rows):
        text = row if isinstance(row, str) else json.dumps(row, ensure_ascii=False, indent=2)
        file.write("  " + text.replace("\n", "\n  ") + (",\n" if number + 1 < len(rows) else "\n"))
    file.write("]\n")


def _separator(source: SourceFile) -> str:
    with source.path.open(encoding=source.encoding, errors="replace") as file:
        head = file.readline()
    return next((mark for mark in ",;\t" if mark in head), ",")


def _table_row(source: SourceFile, text: str) -> Row:
    mark, names = _mark(source), _header(source)
    try:
        lines = [cells for cells in csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True) if cells]
    except csv.Error as error:
        raise UserError(f"The row is no line of a table: {error}.", field="text") from None
    if len(lines) != 1:
        raise UserError(f"One row is expected, and this is {len(lines)}.", field="text")
    if len(lines[0]) != len(names):
        raise UserError(
            f"The row has {len(lines[0])} cells; the columns are {', '.join(names)}.",
            hint="Put text that holds a comma or a line end into double quotes.",
            field="text",
        )
    return dict(zip(names, lines[0], strict=True))


def _header(source: SourceFile) -> list[str]:
    with source.path.open(encoding=source.encoding, errors="surrogateescape", newline="") as file:
        return [name.strip() for name in next(csv.reader(file, delimiter=_mark(source)))]


def _mark(source: SourceFile) -> str:
    """What separates the cells of a table."""
    return "\t" if source.path.suffix.lower() == ".tsv" else _separator(source)


def _write_table(file: TextIO, rows: list[Row | str], names: list[str], separator: str, changed: Row | None) -> None:
    if foreign := [name for name in changed or () if name not in names]:
        raise UserError(f"The table has no column {foreign[0]!r}.", hint=f"It has: {', '.join(names)}.")
    writer = csv.writer(file, delimiter=separator)
    writer.writerow(names)
    for row in rows:
        if isinstance(row, str):
            file.write(row + writer.dialect.lineterminator)
        else:
            writer.writerow(["" if row.get(name) is None else row[name] for name in names])


def _write_parquet(path: Path, rows: Sequence[Row | str]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = parquet.read_schema(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        table = pa.Table.from_pylist(rows, schema=schema)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise UserError(f"The row does not fit the columns of {path.name}: {error}.") from None
    with told_plainly(path, "dataset_dir"):
        try:
            parquet.write_table(table, aside)
            aside.replace(path)
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
