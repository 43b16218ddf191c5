"""Data sets: what there is, upload, how each is read, its rows, its loss mask, its lengths; one-click fixes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

import anyio
from fastapi import Query, Request

from tunesmith.authoring.catalog_file import edited
from tunesmith.data.catalog import Catalog
from tunesmith.data.entry import INFO
from tunesmith.data.sources import SUFFIXES
from tunesmith.errors import UserError
from tunesmith.text.formats import FORMATS
from tunesmith.web import forms
from tunesmith.web.access import Listening, TheStudio, router_of
from tunesmith.web.api.dataset_shapes import (
    FOLDER,
    Added,
    Cutoff,
    Fix,
    Listed,
    Look,
    Mapping,
    Mask,
    NewRow,
    Reading,
    RemovedRow,
    Rows,
    Saved,
    ToAdd,
    ToRestore,
)
from tunesmith.web.children import Child
from tunesmith.web.studio import Studio
from tunesmith.web.uploads import receive, register
from tunesmith.web.workspace import Clash, Missing

router = router_of("datasets")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
Dir = Annotated[str, Query(max_length=500)]


@router.get("/datasets")
def list_datasets(studio: TheStudio, dataset_dir: Dir = FOLDER) -> list[Listed]:
    """The entries of dataset_info.json, in its order."""
    folder = studio.workspace.inside(dataset_dir, field="dataset_dir")
    catalog = Catalog.load(folder)
    return [_listed(studio, catalog, name) for name in catalog.names()]


@router.post("/datasets/upload", status_code=201)
async def upload_dataset(
    request: Request, studio: TheStudio, name: Annotated[str, Query(max_length=200)], dataset_dir: Dir = FOLDER
) -> Added:
    """The request's body is the file called `name`. It is put into the folder and registered."""
    if Path(name).suffix.lower() not in SUFFIXES:
        raise UserError(f"{name} is not a kind of file that rows are read from.", hint=f"Known: {', '.join(SUFFIXES)}.")
    if Path(name.replace("\\", "/")).name.strip().casefold() == INFO:
        raise UserError(f"{INFO} lists the data sets; it is none.", hint="Upload the file with the rows.", field="name")
    folder = studio.workspace.inside(dataset_dir, field="dataset_dir")
    path = await receive(request, folder, name, studio)
    # It waits for whoever else changes the list, and meanwhile others are to be answered.
    known = await anyio.to_thread.run_sync(register, folder, path.stem, {"file_name": path.name})
    return Added(name=known)


@router.post("/datasets/add", status_code=201)
def add_dataset(asked: ToAdd, studio: TheStudio) -> Added:
    """Register a file that is there already, or a data set on a hub."""
    folder = studio.workspace.inside(asked.dataset_dir, field="dataset_dir")
    if asked.hub:
        if not _HUB_ID.fullmatch(asked.hub):
            raise UserError(f"{asked.hub!r} is no repository.", hint="For example: tatsu-lab/alpaca", field="hub")
        entry: dict[str, Any] = {"ms_hub_url" if asked.modelscope else "hf_hub_url": asked.hub}
        entry |= {key: value for key, value in (("subset", asked.subset), ("split", asked.split)) if value}
        return Added(name=register(folder, asked.name or asked.hub.split("/")[1], entry))
    if not asked.path:
        raise UserError("A file or a repository is missing.", field="path")
    path = studio.workspace.inside(asked.path, field="path")
    if not path.exists():
        raise UserError(f"There is no file or folder {asked.path} in the workspace.", field="path")
    file_name = Path(os.path.relpath(path, folder)).as_posix()
    return Added(name=register(folder, asked.name or path.stem, {"file_name": file_name}))


@router.delete("/datasets/{name}", status_code=204)
def forget_dataset(name: str, studio: TheStudio, dataset_dir: Dir = FOLDER) -> None:
    """Take the entry out of dataset_info.json; its file stays."""
    with edited(studio.workspace.inside(dataset_dir, field="dataset_dir")) as catalog:
        if name not in catalog.entries:
            raise Missing(f"There is no data set {name}.")
        catalog.remove(name)


@router.post("/datasets/{name}/look")
def look_at_dataset(name: str, asked: Reading, studio: TheStudio, wanted: Listening) -> Look:
    """How it is read, what can't be used and why; lengths where the settings name a model."""
    found = _ask(studio, "look", name, asked, wanted=wanted)
    found["files"] = [{**file, "path": studio.workspace.relative(Path(file["path"]))} for file in found["files"]]
    return Look(name=name, **found)


@router.post("/datasets/{name}/cutoff")
def cut_dataset(name: str, asked: Reading, studio: TheStudio, wanted: Listening) -> Cutoff:
    """What the settings' cutoff_len would cut off. After a look at it with the same model this takes no time."""
    return Cutoff(**_ask(studio, "cutoff", name, asked, wanted=wanted))


@router.post("/datasets/{name}/rows")
def dataset_rows(name: str, asked: Reading, studio: TheStudio, wanted: Listening) -> Rows:
    return Rows(**_ask(studio, "rows", name, asked, wanted=wanted))


@router.put("/datasets/{name}/rows/{number}")
def save_dataset_row(
    name: str, number: Annotated[int, "from 0"], row: NewRow, studio: TheStudio, dataset_dir: Dir = FOLDER
) -> Saved:
    """Put the row in the place of another, in the file's own form; 409 where the file was changed meanwhile."""
    if number < 0:
        raise Missing(f"There is no row {number}.")
    settings = {"dataset_dir": dataset_dir}
    return Saved(**_ask(studio, "save_row", name, Reading(settings=settings), number=number, **row.model_dump()))


@router.delete("/datasets/{name}/rows/{number}")
def remove_dataset_row(
    name: str, number: int, studio: TheStudio, revision: Annotated[str, Query(max_length=5000)],
    dataset_dir: Dir = FOLDER,
) -> Saved:  # fmt: skip
    """Take one row out; it is kept in a file beside. 409 where the file was changed meanwhile."""
    asked = Reading(settings={"dataset_dir": dataset_dir})
    return Saved(**_ask(studio, "clean", name, asked, what="row", number=number, revision=revision))


@router.get("/datasets/{name}/removed")
def removed_dataset_rows(name: str, studio: TheStudio, dataset_dir: Dir = FOLDER) -> list[RemovedRow]:
    """The rows that were taken out, the last one first."""
    asked = Reading(settings={"dataset_dir": dataset_dir})
    return [RemovedRow(**row) for row in _ask(studio, "removed", name, asked)["rows"]]


@router.post("/datasets/{name}/restore")
def restore_dataset_row(name: str, row: ToRestore, studio: TheStudio, dataset_dir: Dir = FOLDER) -> Saved:
    """Put a row that was taken out back, as the last of its file."""
    asked = Reading(settings={"dataset_dir": dataset_dir})
    return Saved(**_ask(studio, "restore", name, asked, **row.model_dump()))


@router.put("/datasets/{name}/mapping")
def map_dataset(name: str, mapping: Mapping, studio: TheStudio, dataset_dir: Dir = FOLDER) -> Added:
    """Say in dataset_info.json which column is what."""
    if mapping.formatting is not None:
        FORMATS.get(mapping.formatting, field="formatting")
    with edited(studio.workspace.inside(dataset_dir, field="dataset_dir")) as catalog:
        if name not in catalog.entries:
            raise Missing(f"There is no data set {name}.")
        entry = {key: value for key, value in catalog.entries[name].items() if key not in Mapping.model_fields}
        given = {key: value for key, value in mapping.model_dump().items() if value}
        catalog.put(name, {**entry, **given})
        Catalog("dataset_info.json", catalog.entries, catalog.path.parent).entry(name)  # UserError for wrong names
    return Added(name=name)


@router.post("/datasets/{name}/fix")
def fix_dataset(name: str, fix: Fix, studio: TheStudio, dataset_dir: Dir = FOLDER) -> Saved:
    """Take out the rows that can't be used, or those that came before; they are kept in a file beside it."""
    asked = Reading(settings={"dataset_dir": dataset_dir})
    return Saved(**_ask(studio, "clean", name, asked, what=fix.fix, revision=fix.revision))


@router.post("/datasets/{name}/mask")
def dataset_mask(name: str, asked: Reading, studio: TheStudio, wanted: Listening) -> Mask:
    """Samples as the model sees them, token by token."""
    return Mask(**_ask(studio, "mask", name, asked, wanted=wanted))


def _ask(studio: Studio, do: str, name: str, asked: Reading, **more: Any) -> dict[str, Any]:
    """Have a question about a data set of the workspace answered by the process that knows how to read it."""
    settings = {key: value for key, value in asked.settings.items() if key in _READING_KEYS and value not in (None, "")}
    folder = studio.workspace.inside(str(settings.get("dataset_dir") or FOLDER), field="dataset_dir")
    if studio.exposed:
        forms.confine_model(forms.load("ask", settings).job, studio.workspace, exposed=True)
    catalog = Catalog.load(folder)
    if name in catalog:
        entry = catalog.entry(name)
        if entry.place == "file":
            studio.workspace.inside(entry.location, field="dataset")
    else:
        _known_file(studio, folder, name)
    child: Child = studio.children.asked()
    try:
        answer = child.ask(do, dataset=name, settings=settings, offset=asked.offset, limit=asked.limit, **more)
    except UserError as error:
        if error.field == "revision":
            raise Clash(error.message, hint=error.hint, field=error.field) from None
        raise
    return {key: value for key, value in answer.items() if key not in ("id", "end", "stopped")}


_READING_KEYS = frozenset({
    "model_name_or_path", "hub_name", "model_revision", "cache_dir", "add_tokens", "add_special_tokens",
    "split_special_tokens", "dataset_dir", "template", "stage", "cutoff_len", "train_on_prompt", "mask_history",
    "enable_thinking", "preserve_thinking", "tool_format", "default_system", "placeholders", "max_samples",
    "packing", "neat_packing",
})  # fmt: skip


def _known_file(studio: Studio, folder: Path, name: str) -> None:
    for place in (studio.workspace.root / name, folder / name):
        if place.exists():
            studio.workspace.inside(place, field="dataset")
            return
    raise Missing(f"There is no data set {name}.")


def _listed(studio: Studio, catalog: Catalog, name: str) -> Listed:
    try:
        entry = catalog.entry(name)
    except UserError as error:
        return Listed(name=name, problem=error.message)
    found = Listed(name=name, place=entry.place, formatting=entry.formatting, ranking=entry.preference is not None)
    if entry.place != "file":
        return found.model_copy(update={"location": entry.location})
    path = Path(entry.location)
    shown = studio.workspace.relative(path)
    size = path.stat().st_size if path.is_file() else None
    return found.model_copy(update={"location": shown, "bytes": size, "missing": not path.exists()})
