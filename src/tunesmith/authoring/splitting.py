"""One data set into two that share nothing: rows of one group (a document, or one question) stay on one side."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.authoring.holdout import validation_groups
from tunesmith.authoring.options import FileType
from tunesmith.authoring.publish import Published, put_in_place, target
from tunesmith.config.places import cache_folder
from tunesmith.data.catalog import Catalog, resolve
from tunesmith.data.check import normal_digest
from tunesmith.data.examples import ExampleReader, ReadExample
from tunesmith.data.layout import Layout
from tunesmith.data.sources import SourceRow, locate, read_rows
from tunesmith.data.tokenize import open_dataset
from tunesmith.errors import UserError, did_you_mean
from tunesmith.i18n import plural
from tunesmith.text.conversation import Conversation, Example, Message
from tunesmith.text.rows import RowError

_TYPES: Mapping[str, FileType] = {".parquet": "parquet", ".json": "json"}


@dataclass(frozen=True, slots=True)
class Split:
    """Both parts. groups: how many there were; damaged: rows that can't be read, which are in neither."""

    train: Published
    held: Published
    groups: int
    damaged: int


def split(
    name: str,
    dataset_dir: str | Path,
    size: float,
    *,
    by: str | None = None,
    seed: int = 42,
    out: tuple[str, str] | None = None,
    replace: bool = False,
) -> Split:
    """Write NAME_train and NAME_val and register them like NAME, which stays. The same seed gives the same parts.

    size: share below 1, or number of rows, of the part that is held back; it is reached with whole groups.
    by: the column that names a row's group; None groups rows that ask the same but for case, spaces and marks.
    UserError where it leaves one side empty.
    """
    names = out or (f"{_stem(name)}_train", f"{_stem(name)}_val")
    (entry,) = resolve([name], dataset_dir)
    files = locate(entry, cache_folder())
    kind = _TYPES.get(files[0].path.suffix.lower(), "jsonl")
    for each in names:
        target(each, dataset_dir, kind, replace=replace)

    def rows() -> tuple[Layout | None, Iterator[SourceRow]]:
        if entry.preference is not None:
            return None, read_rows(files)
        return open_dataset(entry, files, "pt" if is_text(name, dataset_dir) else "sft")

    layout, first = rows()
    groups = [None if isinstance(row.row, RowError) else _group(row, layout, by) for row in first]
    chosen = _chosen([group for group in groups if group is not None], size, seed)

    def part(held: bool) -> Iterator[Mapping[str, Any]]:
        _, again = rows()
        for row, group in zip(again, groups, strict=True):
            if group is not None and (group in chosen) == held:
                assert not isinstance(row.row, RowError)
                yield row.row

    raw = _raw_entry(name, dataset_dir) or ({"columns": {"prompt": "text"}} if is_text(name, dataset_dir) else {})

    def entry_of(file_name: str, keys: set[str]) -> dict[str, Any]:
        return {"file_name": file_name, **raw}

    train = put_in_place(part(False), names[0], dataset_dir, entry_of, kind, replace=replace)
    held = put_in_place(part(True), names[1], dataset_dir, entry_of, kind, replace=replace)
    return Split(train, held, len(set(groups) - {None}), groups.count(None))


def _stem(name: str) -> str:
    return Path(name).stem if Path(name).exists() else name


def _group(row: SourceRow, layout: Layout | None, by: str | None) -> bytes:
    assert not isinstance(row.row, RowError)
    if by is not None:
        if by not in row.row:
            hint = did_you_mean(by, list(map(str, row.row))) or f"There are: {', '.join(map(str, row.row))}."
            raise UserError(f"{Path(row.file).name}:{row.line} has no column {by!r}.", hint=hint, field="by")
        return _digest(repr(row.row[by]))
    if layout is None:
        kept = {key: value for key, value in row.row.items() if key not in ("chosen", "rejected", "output")}
        return _digest(repr(sorted(kept.items(), key=lambda pair: str(pair[0]))))
    read = ExampleReader(layout, {}).read(row)
    return normal_digest(_question(read.example)) if isinstance(read, ReadExample) else _digest(repr(row.row))


def _question(example: Example) -> Example:
    """A conversation with its first question alone: what is asked the same belongs together, whatever the answer."""
    if not isinstance(example, Conversation):
        return example
    asked = next((message.content for message in example.messages if message.role == "user"), "")
    return Conversation((Message("user", asked), Message("assistant", "")))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _chosen(groups: list[bytes], size: float, seed: int) -> set[bytes]:
    """The groups to hold back."""
    if size <= 0:
        raise UserError(f"--val-size is {size:g}; expected a share such as 0.1, or a number of rows.", field="val_size")
    sizes = Counter(groups)
    wanted = size if size < 1 else int(size)
    if len(sizes) < 2 or wanted >= len(groups):
        rows = plural("{count:,} row", "{count:,} rows", len(groups))
        counted = plural("{count:,} group", "{count:,} groups", len(sizes))
        raise UserError(
            f"{wanted:g} can't be held back of {rows} in {counted}: rows of one group stay together, "
            "and each side needs one.",
            hint="Hold back fewer, or group them by another column.",
            field="val_size",
        )
    return validation_groups(sizes, wanted, seed)


def _raw_entry(name: str, dataset_dir: str | Path) -> dict[str, Any]:
    """What the entry says beside where its rows lie, in its own words."""
    entry = Catalog.load(dataset_dir).raw(name)
    places = ("file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", "cloud_file_name", "subset", "split", "folder")
    return {key: value for key, value in entry.items() if key not in (*places, "num_samples", "file_sha1")}


def is_text(name: str, dataset_dir: str | Path) -> bool:
    """Whether an entry was registered as plain text (one column, `text`)."""
    columns = _raw_entry(name, dataset_dir).get("columns")
    return columns == {"prompt": "text"} or (not columns and name.endswith(".txt"))
