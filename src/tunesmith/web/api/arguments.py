"""Settings that were saved under a name, as config files in the workspace's folder `configs`."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from tunesmith.errors import UserError
from tunesmith.runs.files import replace_text, told_plainly
from tunesmith.web import forms
from tunesmith.web.access import TheStudio, router_of
from tunesmith.web.language import Told
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import Clash, Missing

router = router_of("arguments")
_FOLDER = "configs"
_NAME = re.compile(r"[\w][\w .()+-]{0,99}")


class Saved(BaseModel):
    """revision: changes with the content; given back when saving, so that nobody's work is overwritten unseen."""

    name: str
    settings: dict[str, Any]
    notes: list[Told] = []
    revision: str


class ToSave(BaseModel):
    """revision: of what the person knows under that name, empty where they know of none; left out, it is replaced
    whatever it is."""

    settings: Annotated[dict[str, Any], Field(max_length=500)]
    revision: str | None = None


@router.get("/arguments")
def list_arguments(studio: TheStudio) -> list[str]:
    folder = studio.workspace.root / _FOLDER
    return sorted(path.stem for path in folder.glob("*.yaml") if _NAME.fullmatch(path.stem)) if folder.is_dir() else []


@router.get("/arguments/{name:path}")
def load_arguments(name: str, studio: TheStudio) -> Saved:
    path = _path(studio, name)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Missing(f"There are no saved arguments called {name}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path.name} is not a text file in UTF-8.", hint="Save it anew as UTF-8.") from None
    settings, notes, _ = forms.read_yaml(text, path.name) if text.strip() else ({}, [], [])
    return Saved(name=name, settings=settings, notes=notes, revision=_revision(text))


@router.put("/arguments/{name:path}")
def save_arguments(name: str, asked: ToSave, studio: TheStudio) -> Saved:
    path = _path(studio, name)
    before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    if before is not None and asked.revision is not None and asked.revision != _revision(before):
        hint = "Replace it, load it, or save under another name."
        if not asked.revision:
            raise Clash(f"There are saved arguments called {name} already.", hint=hint, field="revision")
        raise Clash(f"{name} was changed meanwhile, perhaps in another tab.", hint=hint, field="revision")
    with told_plainly(path):
        path.parent.mkdir(exist_ok=True)
    text = forms.as_yaml(asked.settings)
    replace_text(path, text)
    return Saved(name=name, settings=asked.settings, revision=_revision(text))


@router.delete("/arguments/{name:path}", status_code=204)
def delete_arguments(name: str, studio: TheStudio) -> None:
    try:
        _path(studio, name).unlink()
    except FileNotFoundError:
        raise Missing(f"There are no saved arguments called {name}.") from None


def _path(studio: Studio, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} can't be a name.", hint="Letters, digits, spaces and . ( ) + - _ make names.")
    return studio.workspace.inside(f"{_FOLDER}/{name}.yaml")


def _revision(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=8).hexdigest()
