"""The entries of dataset_info.json as a user keeps house with them: added, listed, removed."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tunesmith.authoring.catalog_file import CatalogFile, check_name, edited, info_path
from tunesmith.authoring.publish import OPENAI_TAGS, exchanged, refuse_existing, refuse_taken, written_aside
from tunesmith.authoring.ranking import is_ranked
from tunesmith.config.places import cache_folder
from tunesmith.data.catalog import Catalog
from tunesmith.data.entry import DatasetEntry
from tunesmith.data.layout import choose_layout, nearest_format
from tunesmith.data.sources import locate, read_rows
from tunesmith.errors import UserError
from tunesmith.text.formats import FORMATS, Columns
from tunesmith.text.rows import RowError

_LOOKED_AT = 64
Hub = Literal["hf", "ms"]


@dataclass(frozen=True, slots=True)
class Listed:
    """A data set as `data list` shows it. size: bytes on this machine, None where it lies elsewhere or is missing."""

    name: str
    where: str
    kind: str
    size: int | None
    problem: str = ""


def add(
    path: Path,
    name: str,
    dataset_dir: str | Path,
    *,
    formatting: str | None = None,
    copy: bool = False,
    replace: bool = False,
) -> dict[str, Any]:
    """Register a file or folder of rows where it lies, or a copy of the file in the folder; returns the entry.

    Format and columns are told from the rows. UserError where they can't be, or the name is taken.
    """
    info = info_path(dataset_dir).absolute()
    check_name(name)
    if formatting is not None:
        FORMATS.get(formatting, field="formatting")
    described = _described(path, name, formatting)
    if copy and path.is_dir():
        raise UserError(f"{path} is a folder, and only a file is copied.", hint="Leave --copy out.", field="copy")
    inside = info.parent / path.name if copy else path.absolute()
    with edited(dataset_dir) as catalog:
        refuse_taken(catalog, name, replace=replace)
        # Beside dataset_info.json the name alone is kept, so that the folder can be moved.
        within = inside.is_relative_to(info.parent)
        file_name = inside.relative_to(info.parent).as_posix() if within else str(inside)
        entry = {"file_name": file_name, **described}
        catalog.put(name, entry)
        if copy and inside != path.absolute():
            refuse_existing(inside, replace=replace)
            with written_aside(inside) as aside:
                shutil.copyfile(path, aside)
                with exchanged(aside, inside):
                    catalog.save()
    return entry


def add_from_hub(
    repository: str, name: str, dataset_dir: str | Path, hub: Hub, *, split: str | None, replace: bool = False
) -> dict[str, Any]:
    """Register a data set of a hub by its repository; nothing is fetched."""
    check_name(name)
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise UserError(f"{repository!r} is no repository of a hub.", hint="Expected owner/name.", field="dataset")
    entry = {f"{hub}_hub_url": repository, **({"split": split} if split else {})}
    with edited(dataset_dir) as catalog:
        refuse_taken(catalog, name, replace=replace)
        catalog.put(name, entry)
    return entry


def listed(dataset_dir: str | Path) -> list[Listed]:
    """The data sets of a folder, in the order of its file."""
    catalog = Catalog.load(info_path(dataset_dir))
    return [_listed(catalog, name) for name in catalog.ordered()]


def rename(name: str, new: str, dataset_dir: str | Path) -> None:
    """The entry's name; its file keeps its own."""
    check_name(new)
    with edited(dataset_dir) as catalog:
        if new in catalog.entries:
            raise UserError(f"{catalog.path} has a data set called {new!r} already.", hint="Choose another name.")
        catalog.rename(name, new)


def remove(name: str, dataset_dir: str | Path, *, delete_file: bool = False) -> Path | None:
    """Take an entry out; with delete_file its file too, which is returned.

    UserError where the file lies outside of the folder or another entry needs it: nothing is changed then.
    """
    with edited(dataset_dir) as catalog:
        entry = catalog.entries.get(name)
        doomed = _doomed(catalog, name) if delete_file and entry is not None else None
        catalog.remove(name)
    if doomed is not None:
        doomed.unlink(missing_ok=True)
    return doomed


def _doomed(catalog: CatalogFile, name: str) -> Path:
    files = catalog.files
    if name not in files:
        raise UserError(f"Data set {name!r} has no file here.", hint="Leave --delete-file out.")
    folder, path = catalog.path.parent.resolve(), files.pop(name)
    users = [key for key, file in files.items() if path.is_relative_to(file)]
    if users:
        raise UserError(f"{path} also belongs to {', '.join(users)}.", hint="Leave --delete-file out.")
    if not path.is_relative_to(folder) or path.is_dir():
        raise UserError(f"{path} is not a file in {folder}.", hint="Leave --delete-file out and delete it yourself.")
    return path


def _described(path: Path, name: str, formatting: str | None) -> dict[str, Any]:
    """formatting, columns and the like of an entry, told from the first rows."""
    entry = DatasetEntry(name=name, place="file", location=str(path), formatting=formatting)
    rows = itertools.islice(read_rows(locate(entry, cache_folder())), _LOOKED_AT)
    sample = [row.row for row in rows if not isinstance(row.row, RowError)]
    if not sample:
        raise UserError(f"None of the first rows of {path} can be read.", hint=f"tunesmith data check {path}")
    keys = set(sample[0])
    if all(is_ranked(row, Columns()) for row in sample):
        first = sample[0]
        question = next((key for key in ("instruction", "prompt", "question") if key in first), None)
        chat = next((key for key in ("conversations", "messages") if key in first), None)
        column = {"messages": chat} if chat else {"prompt": question} if question else {}
        format = nearest_format([{"messages": first[chat]}]) if chat else None
        shape = {"formatting": format} if format else {}
        return {**shape, "ranking": True, "columns": {**column, "chosen": "chosen", "rejected": "rejected"}}
    if (formatting or nearest_format(sample)) == "text":
        return {"columns": {"prompt": "text"}}
    layout = choose_layout(entry, sample, "sft")
    columns = {
        field.name: column
        for field in dataclasses.fields(layout.columns)
        if (column := getattr(layout.columns, field.name)) in keys and column is not None
    }
    if layout.format.name == "alpaca":
        return {"columns": columns}
    chat = next(key for key in ("conversations", "messages") if key in keys)
    tags = {"tags": dict(OPENAI_TAGS)} if layout.format.name == "openai" else {}
    return {"formatting": layout.format.name, "columns": {"messages": chat, **columns}, **tags}


def _listed(catalog: Catalog, name: str) -> Listed:
    try:
        entry = catalog.entry(name)
    except UserError as error:
        return Listed(name, "", "", None, error.message)
    kind = entry.preference or entry.formatting or ""
    if entry.place != "file":
        return Listed(name, f"{entry.place}: {entry.location}", kind, None)
    path = Path(entry.location)
    if not path.exists():
        return Listed(name, entry.location, kind, None, "the file is missing")
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    return Listed(name, entry.location, kind, sum(one.stat().st_size for one in files))
