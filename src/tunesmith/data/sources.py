"""Rows out of data sets, one at a time, each with the place it came from.

A file that can't be read at all ends in a UserError; a single line that can't be read is a row that says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.data.encoding import detect_encoding
from tunesmith.data.entry import INFO, DatasetEntry
from tunesmith.data.hub import SUFFIXES, fetch
from tunesmith.data.readers import Reader, read_csv, read_json, read_jsonl, read_txt
from tunesmith.data.tables import read_arrow, read_parquet, read_xlsx
from tunesmith.errors import UserError, did_you_mean
from tunesmith.text.rows import RowError

_TEXT: Mapping[str, Reader] = {
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_txt,
}
_READERS: Mapping[str, Reader] = {**_TEXT, ".parquet": read_parquet, ".arrow": read_arrow, ".xlsx": read_xlsx}
_DOCUMENT = "Make rows of it first: tunesmith data convert FILE --out NAME (or data make, by a model)."
_ELSEWHERE = {
    **dict.fromkeys((".xls", ".xlsm", ".xlsb", ".ods", ".docx", ".pptx", ".pdf", ".epub"), _DOCUMENT),
    **dict.fromkeys((".html", ".htm", ".md", ".srt", ".vtt", ".ass"), _DOCUMENT),
    ".doc": f"Save it as .docx. {_DOCUMENT}",
    ".gz": "Unpack it first.",
    ".zip": "Unpack it first.",
    ".zst": "Unpack it first.",
}


class SourceRow(NamedTuple):
    """A row of a file. line: its line number from 1, or its row number where a file has no lines (parquet, arrow)."""

    file: str
    line: int
    row: Mapping[str, Any] | RowError


class SourceFile(NamedTuple):
    """A data file, with its encoding where it is a text file ('' where not)."""

    path: Path
    encoding: str


class Meter:
    """How many bytes of a row of files have been read."""

    def __init__(self) -> None:
        self._before = 0
        self._current = 0

    @property
    def done(self) -> int:
        return self._before + self._current

    def advance(self, done: int) -> None:
        self._current = max(self._current, done)

    def next_file(self, size: int) -> None:
        self._before += size
        self._current = 0


def locate(entry: DatasetEntry, cache_dir: Path) -> list[SourceFile]:
    """The files that make up a data set, in a fixed order; fetched first where they lie elsewhere."""
    if entry.place == "file" and entry.hub_repo is None:
        files = files_at(Path(entry.location))
    else:
        files = fetch(entry, cache_dir)
    return [_source_file(path) for path in files]


def files_at(path: Path) -> list[Path]:
    """The data files of a place on this machine: the file itself, or those of the folder in a fixed order."""
    return _folder_files(path) if path.is_dir() else [path]


def read_rows(files: list[SourceFile], meter: Meter | None = None) -> Iterator[SourceRow]:
    """All rows of the files, in order, read as they are asked for."""
    meter = meter or Meter()
    for source in files:
        yield from _read_file(source, meter)
        meter.next_file(source.path.stat().st_size)


def _read_file(source: SourceFile, meter: Meter) -> Iterator[SourceRow]:
    name = str(source.path)
    reader = _READERS[source.path.suffix.lower()]
    try:
        for line, row in reader(source.path, source.encoding, meter.advance):
            yield SourceRow(name, line, row)
    except UnicodeError as error:
        raise UserError(
            f"{name} looks like {source.encoding} and has bytes that are not: {error}.",
            hint="Save the file as UTF-8.",
            field="dataset",
        ) from error
    except OSError as error:
        raise UserError(f"Can't read {name}: {error.strerror or error}.", field="dataset") from error


def _folder_files(folder: Path) -> list[Path]:
    """Data files of one kind directly in a folder, by name; hidden files are left alone."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith((".", "_")))
    data = [p for p in files if p.suffix.lower() in SUFFIXES and p.name not in (INFO, "state.json")]
    if not data:
        found = ", ".join(p.name for p in files[:5]) or "nothing"
        raise UserError(
            f"The folder {folder} holds no data file (found: {found}).",
            hint=f"Data files end in {', '.join(SUFFIXES)}.",
            field="dataset",
        )
    kinds = sorted({p.suffix.lower() for p in data})
    if len(kinds) > 1:
        raise UserError(
            f"The folder {folder} mixes {' and '.join(kinds)} files; expected one kind.",
            hint="Name one file, or several separated by commas.",
            field="dataset",
        )
    return data


def _source_file(path: Path) -> SourceFile:
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UserError(f"There is no file {path.absolute()}.", field="dataset")
    if suffix not in _READERS:
        hint = (
            _ELSEWHERE.get(suffix, "").replace("FILE", str(path))
            or did_you_mean(suffix, _READERS)
            or f"Known: {', '.join(SUFFIXES)}."
        )
        raise UserError(f"{path} is not a kind of file that rows are read from.", hint=hint, field="dataset")
    try:
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty.", field="dataset")
        return SourceFile(path, detect_encoding(path) if suffix in _TEXT else "")
    except OSError as error:
        raise UserError(f"Can't read {path}: {error.strerror or error}.", field="dataset") from error
