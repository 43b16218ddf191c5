"""The end of every way to a data set: the rows in a file of their own, and its entry in dataset_info.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FileType = Literal["jsonl", "json", "parquet"]
RowFormat = Literal["alpaca", "sharegpt", "openai", "text"]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Published:
    """A data set that is in place. path: its file; info: the dataset_info.json that names it; rows: how many."""

    name: str
    path: Path
    info: Path
    rows: int


def publish(
    rows: Iterable[Row],
    name: str,
    dataset_dir: Path,
    format: RowFormat,
    file_type: FileType = "jsonl",
    *,
    ranking: bool = False,
    kto_tag: str | None = None,
    replace: bool = False,
) -> Published:
    """Write the rows to `dataset_dir/name.file_type` and register them as `name`; both are in place or neither is.

    Columns beyond those of the format are written along and never trained on. Rows are taken as they come and never
    held as a whole. ranking: rows hold `chosen` and `rejected`. kto_tag: the column with the verdict.
    UserError where there are no rows, the name can't be one, or it is taken and `replace` is not set.
    """
    raise NotImplementedError
