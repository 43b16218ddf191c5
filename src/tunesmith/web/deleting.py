"""What deleting a run takes away and what it leaves, told beforehand and done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tunesmith.errors import UserError
from tunesmith.runs.files import read_json
from tunesmith.runs.layout import RunLayout
from tunesmith.runs.read import RunReader
from tunesmith.web import forms
from tunesmith.web.room import size_of
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import path_of

_MOST_NAMED = 5


class Deletion(BaseModel):
    """folder: relative to the workspace; bytes: of all that goes in it. weights: whether trained ones go; predictions:
    whether those of an evaluation do.

    answers: whether a model's answers stay, which a job of authoring of the same name would use again. exported: the
    folder of an export, dataset: the name of a data set, others: files of anyone else in the folder; these stay too.
    loaded: whether the chat has its model loaded; exports: the exports that name it, which of those waiting or at work
    can't go on without it.
    """

    folder: str
    bytes: int
    checkpoints: int
    weights: bool
    predictions: bool
    answers: bool
    exported: str = ""
    dataset: str = ""
    others: list[str] = []
    loaded: bool = False
    exports: list[str] = []


def deletion_of(run: RunReader, name: str, studio: Studio) -> Deletion:
    layout, kind = run.layout, run.state().kind
    goes = list(_going(layout))
    journal = layout.journal
    asked = {journal, *layout.root.glob(f"{journal.name}-*"), layout.decisions, layout.report}
    config = forms.mapping_in(layout.resolved)
    exported = config.get("export_dir") if kind == "export" else None
    return Deletion(
        folder=name,
        bytes=sum(map(size_of, goes)),
        checkpoints=len(run.checkpoints()),
        weights=layout.holds_weights(),
        predictions=layout.predictions.is_file(),
        answers=journal.is_file(),
        exported=exported if isinstance(exported, str) and Path(exported).is_dir() else "",
        dataset=_made(config) if kind.startswith("data ") else "",
        others=sorted(path.name for path in layout.root.iterdir() if path not in asked.union(goes))[:_MOST_NAMED],
        loaded=any(_lies_in(place, layout.root) for place in studio.sessions.places()),
        exports=list(islice(_exports_of(layout.root, studio), _MOST_NAMED)),
    )


def _exports_of(folder: Path, studio: Studio) -> Iterator[str]:
    """Ids of the exports whose model or adapter lies in the folder."""
    for summary in studio.look().runs:
        if summary.kind == "export":
            config = forms.mapping_in(studio.workspace.run(summary.id).layout.resolved)
            named = [config.get("model_name_or_path"), config.get("adapter_name_or_path")]
            places = [place for one in named for place in (one if isinstance(one, list) else [one])]
            if any(isinstance(place, str) and _lies_in(place, folder) for place in places):
                yield summary.id


def _lies_in(place: str, folder: Path) -> bool:
    path = path_of(Path(), place) if place else None
    return path is not None and path.is_relative_to(folder.resolve())


def _made(config: Mapping[str, Any]) -> str:
    """The data set that a job of authoring came to; empty where it did not get that far."""
    name, folder = str(config.get("out") or ""), str(config.get("dataset_dir") or "data")
    return name if name in (read_json(Path(folder) / "dataset_info.json") or {}) else ""


def delete(layout: RunLayout) -> None:
    """Delete what the run wrote; the folder goes with it where nothing else is in it."""
    if read_json(layout.state) is None:
        raise UserError(f"{layout.root} holds no run.")
    for path in _going(layout):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if not any(layout.root.iterdir()):
        layout.root.rmdir()


def _going(layout: RunLayout) -> Iterator[Path]:
    """The state last: a directory that can't be deleted whole, as where a file of it is open, still reads as a run."""
    yield from (path for path in (layout.previous, layout.moving) if path.exists())
    yield from sorted(layout.own_files(), key=lambda path: path == layout.state)
