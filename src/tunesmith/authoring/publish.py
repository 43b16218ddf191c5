"""The end of every way to a data set: the rows in a file of their own, and its entry in dataset_info.json."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from tunesmith.authoring.catalog_file import CatalogFile, check_name, edited, info_path
from tunesmith.authoring.options import FileType, RowFormat
from tunesmith.data.editing import revision
from tunesmith.errors import UserError
from tunesmith.runs.files import aside_of, clear_dead_asides, told_plainly

Row = Mapping[str, Any]

_BATCH = 1000
_HALF = re.compile("[\ud800-\udfff]")
# Columns of a format as dataset_info.json calls them → as the rows do. All are named: the tools that share this file
# know fewer of them by themselves.
_COLUMNS: Mapping[RowFormat, Mapping[str, str]] = {
    "alpaca": {
        "prompt": "instruction", "query": "input", "response": "output", "system": "system", "history": "history",
        "tools": "tools",
    },
    "sharegpt": {"messages": "conversations", "system": "system", "tools": "tools"},
    "openai": {"messages": "messages", "tools": "tools"},
    "text": {"prompt": "text"},
}  # fmt: skip
# Words of OpenAI's messages: tools that share dataset_info.json take ShareGPT's where they are not told.
OPENAI_TAGS = {
    "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
    "observation_tag": "tool", "function_tag": "function_call", "system_tag": "system",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Published:
    """A data set that is in place. path: its file; info: the dataset_info.json that names it; rows: how many.

    left: the file of the data set that it replaced, where that is another one. It may be somebody's only copy.
    """

    name: str
    path: Path
    info: Path
    rows: int
    left: Path | None = None


class Own(Protocol):
    """What a job knows of the files that it has written itself."""

    def has(self, path: Path) -> bool:
        """Whether what lies there is as the job left it, or nothing is and the job wrote there before."""
        ...

    def writes(self, path: Path, revision: str) -> None:
        """Told before a file is put there that has this revision."""
        ...


def publish(
    rows: Iterable[Row],
    name: str,
    dataset_dir: str | Path,
    format: RowFormat,
    file_type: FileType = "jsonl",
    *,
    ranking: bool = False,
    kto_tag: str | None = None,
    replace: bool = False,
    own: Own | None = None,
) -> Published:
    """Write the rows to `dataset_dir/name.file_type` and register them as `name`; both are in place or neither is.

    Columns beyond those of the format are written along and never trained on. Rows are taken as they come and never
    held as a whole. ranking: rows hold `chosen` and `rejected`. kto_tag: the column with the verdict.
    UserError where there are no rows, the name can't be one, or it is taken by what is not the job's own and `replace`
    is not set.
    """

    def entry(file_name: str, keys: set[str]) -> dict[str, Any]:
        return entry_for(file_name, format, keys, ranking=ranking, kto_tag=kto_tag)

    return put_in_place(rows, name, dataset_dir, entry, file_type, replace=replace, own=own)


def put_in_place(
    rows: Iterable[Row],
    name: str,
    dataset_dir: str | Path,
    entry: Callable[[str, set[str]], Mapping[str, Any]],
    file_type: FileType = "jsonl",
    *,
    replace: bool = False,
    own: Own | None = None,
) -> Published:
    """As `publish`, with an entry made from the file's name and the keys of the rows."""
    path = target(name, dataset_dir, file_type, replace=replace, own=own)
    with written_aside(path) as aside:
        count, keys = _WRITERS[file_type](rows, aside)
        if not count:
            raise UserError(f"There is no row to write to {path}.")
        with edited(dataset_dir) as catalog:
            # Looked at again: asking takes hours, in which somebody may have put something there.
            refuse_taken(catalog, name, path, replace=replace, own=own)
            earlier = catalog.files.get(name)
            catalog.put(name, entry(path.name, keys))
            if own is not None:
                own.writes(path, revision(aside))
            with told_plainly(path, "dataset_dir"), exchanged(aside, path):
                catalog.save()
            still = {path.resolve(), *catalog.files.values()}
    left = None if earlier is None or earlier in still or not earlier.exists() else earlier
    return Published(name, path, info_path(dataset_dir), count, left)


def target(
    name: str, dataset_dir: str | Path, file_type: FileType = "jsonl", *, replace: bool = False, own: Own | None = None
) -> Path:
    """The file that `publish` will write; UserError where it can't, so that long work is not begun in vain."""
    folder = info_path(dataset_dir).parent
    path = folder / f"{check_name(name)}.{file_type}"
    with edited(dataset_dir) as catalog:
        refuse_taken(catalog, name, path, replace=replace, own=own)
    return path


def refuse_taken(
    catalog: CatalogFile, name: str, path: Path | None = None, *, replace: bool, own: Own | None = None
) -> None:
    """UserError where the name, or the file `path`, is taken by something that may not be replaced."""
    if replace:
        return
    file = catalog.files.get(name)
    if name in catalog.entries and not (own is not None and file is not None and own.has(file)):
        raise UserError(
            f"{catalog.path} has a data set called {name!r} already.",
            hint="Choose another name, or add --replace.",
            field="out",
        )
    if path is not None:
        refuse_existing(path, replace=replace, own=own)


def refuse_existing(path: Path, *, replace: bool, own: Own | None = None) -> None:
    """UserError where a file lies there that may not be replaced."""
    if path.exists() and not replace and not (own is not None and own.has(path)):
        raise UserError(f"There is a file {path} already.", hint="Choose another name, or add --replace.", field="out")


@contextmanager
def exchanged(aside: Path, path: Path) -> Iterator[None]:
    """Within it `aside` lies at `path`; where it fails, what lay there before is put back."""
    before = path.with_name(f"{aside.name}.before")
    there = path.exists()
    if there:
        try:
            os.link(path, before)
        except OSError:  # a file system without links
            shutil.copy2(path, before)
    try:
        aside.replace(path)
        yield
    except BaseException:
        if there:
            before.replace(path)
        else:
            path.unlink(missing_ok=True)
        raise
    finally:
        before.unlink(missing_ok=True)


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, in a folder that is made; what is still there at the end is removed.

    So is what a process that was killed has left of an earlier attempt.
    """
    with told_plainly(path, "dataset_dir"):
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_dead_asides(path)
    aside = aside_of(path)
    try:
        with told_plainly(path, "dataset_dir"):
            yield aside
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def entry_for(
    file_name: str, format: RowFormat, keys: Iterable[str], *, ranking: bool = False, kto_tag: str | None = None
) -> dict[str, Any]:
    """The entry of dataset_info.json for rows that have these keys, in words that LLaMA-Factory reads alike."""
    known = set(keys)
    columns = {kind: column for kind, column in _COLUMNS[format].items() if column in known}
    entry: dict[str, Any] = {"file_name": file_name}
    if format in ("sharegpt", "openai"):
        entry["formatting"] = format
    if ranking:
        entry["ranking"] = True
        columns |= {"chosen": "chosen", "rejected": "rejected"}
    if kto_tag is not None:
        columns["kto_tag"] = kto_tag
    entry["columns"] = columns
    if format == "openai":
        entry["tags"] = dict(OPENAI_TAGS)
    return entry


def _dumps(row: Row, *, halves: bool = True) -> str:
    """A row as one line of JSON. Half characters, which no encoding can hold, stay escaped, or become U+FFFD."""
    text = json.dumps(row, ensure_ascii=False, default=_as_text)
    if not _HALF.search(text):
        return text
    if halves:
        return json.dumps(row, default=_as_text)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _as_text(value: Any) -> str:
    """What parquet and arrow hold and JSON does not: times, decimals, bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _write_jsonl(rows: Iterable[Row], path: Path, *, halves: bool = True) -> tuple[int, set[str]]:
    count, keys = 0, set[str]()
    with _durable(path) as file:
        for row in rows:
            file.write(_dumps(row, halves=halves) + "\n")
            keys.update(row)
            count += 1
    return count, keys


def _write_json(rows: Iterable[Row], path: Path) -> tuple[int, set[str]]:
    count, keys = 0, set[str]()
    with _durable(path) as file:
        for row in rows:
            file.write(("[\n  " if not count else ",\n  ") + _dumps(row))
            keys.update(row)
            count += 1
        file.write("\n]\n")
    return count, keys


def _write_parquet(rows: Iterable[Row], path: Path) -> tuple[int, set[str]]:
    """By way of JSON lines: the types of the columns are known only when all rows were seen."""
    import pyarrow
    from pyarrow import parquet

    spool = path.with_name(f"{path.name}.rows")
    try:
        count, keys = _write_jsonl((_flat(row) for row in rows), spool, halves=False)
        schema: Any = None
        for batch in _batches(spool):
            found = pyarrow.Table.from_pylist(_whole(batch, keys)).schema
            unified = [found] if schema is None else [schema, found]
            schema = pyarrow.unify_schemas(unified, promote_options="permissive")
        if count:
            with parquet.ParquetWriter(path, schema) as writer:
                for batch in _batches(spool):
                    writer.write_table(pyarrow.Table.from_pylist(_whole(batch, keys), schema=schema))
    except pyarrow.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"The rows can't be written as parquet, which wants one type for each column: {reason}.",
            hint="Write jsonl instead: --type jsonl",
        ) from error
    finally:
        spool.unlink(missing_ok=True)
    return count, keys


def _flat(row: Row) -> dict[str, Any]:
    """Objects, and lists of tools, as JSON text: each has keys of its own, and a column of parquet has one shape."""
    return {
        key: json.dumps(value, ensure_ascii=False, default=_as_text) if _shapeless(key, value) else value
        for key, value in row.items()
    }


def _shapeless(key: str, value: Any) -> bool:
    return isinstance(value, Mapping) or (key == "tools" and isinstance(value, list))


def _whole(batch: list[dict[str, Any]], keys: set[str]) -> list[dict[str, Any]]:
    order = [*dict.fromkeys(key for row in batch for key in row), *sorted(keys)]
    return [{key: row.get(key) for key in dict.fromkeys(order)} for row in batch]


def _batches(spool: Path) -> Iterator[list[dict[str, Any]]]:
    with spool.open(encoding="utf-8") as file:
        batch = []
        for line in file:
            batch.append(json.loads(line))
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


@contextmanager
def _durable(path: Path) -> Iterator[IO[str]]:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


_WRITERS: Mapping[FileType, Callable[[Iterable[Row], Path], tuple[int, set[str]]]] = {
    "jsonl": _write_jsonl,
    "json": _write_json,
    "parquet": _write_parquet,
}
