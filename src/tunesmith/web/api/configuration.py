"""Forms: their schema, the check while somebody types, YAML and command of what stands in them, import."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from tunesmith.config.describe import help_text
from tunesmith.config.load import Resolved, to_flat
from tunesmith.data.catalog import resolve
from tunesmith.errors import UserError
from tunesmith.text.families import family_names
from tunesmith.web import forms, taken
from tunesmith.web.access import TheStudio, router_of
from tunesmith.web.language import Told, said
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import free_folder

router = router_of("configuration")
Verb = Literal["train", "eval", "export", "chat"]
_OF_DATA = ("dataset", "dataset_dir", "hub_name", "placeholders", "stage")
Settings = Annotated[dict[str, Any], Field(max_length=500)]


class Asked(BaseModel):
    verb: Verb = "train"
    settings: Settings


class Problem(BaseModel):
    """offer: settings that would mend it, where they can be told. run: the run at work that is in the way."""

    field: str | None
    message: Told
    hint: Told = ""
    level: Literal["error", "note"] = "error"
    offer: dict[str, Any] = {}
    run: str | None = None


class Checked(BaseModel):
    """resolved: every field with its value, where the settings make a job; notes tell what has no effect."""

    ok: bool
    problems: list[Problem]
    notes: list[Told]
    resolved: dict[str, Any] | None


class Warned(BaseModel):
    warnings: list[Told]


class Command(BaseModel):
    yaml: str
    cli: str
    windows: str


class Imported(BaseModel):
    """notes: what was renamed and what has no effect. refused: what the verb refuses; it is among the settings."""

    settings: dict[str, Any]
    notes: list[Told]
    refused: list[Problem]


class Text(BaseModel):
    text: Annotated[str, Field(max_length=2_000_000)]
    name: Annotated[str, Field(max_length=300)] = "config.yaml"
    verb: Verb = "train"


class Help(BaseModel):
    key: str
    text: Told


@router.get("/schema")
def schema(verb: Verb = "train") -> dict[str, Any]:
    """A JSON schema whose properties also tell `x-section`, `x-common`, `x-order`, `x-secret`, `x-choices`,
    `x-automatic`."""
    whole = forms.schema_for(verb)
    for described in whole["properties"].values():
        described["description"] = said(described["description"])
    if "template" in whole["properties"]:
        whole["properties"]["template"]["x-suggestions"] = sorted(family_names())
    return whole


@router.get("/help/{key}")
def key_help(key: str) -> Help:
    return Help(key=key, text=help_text(key))


@router.post("/config/check")
def check_config(asked: Asked, studio: TheStudio) -> Checked:
    """What is wrong with the settings; nothing is loaded or written."""
    resolved, errors = forms.check(asked.verb, asked.settings, studio.workspace, studio.devices, exposed=studio.exposed)
    problems = [_problem(studio, error, resolved) for error in errors]
    if asked.verb == "export" and resolved and not errors:
        problems = _export_problems(studio, resolved)
    return Checked(
        ok=not problems,
        problems=problems,
        notes=list(resolved.notes) if resolved else [],
        resolved=to_flat(resolved.job) if resolved else None,
    )


@router.post("/config/data")
def look_at_data(asked: Asked, studio: TheStudio) -> Warned:
    """What is to be known of the data before a training begins; nothing is fetched for it. UserError where `check`
    tells of one."""
    settings = {key: asked.settings[key] for key in _OF_DATA if asked.settings.get(key) not in (None, "", [])}
    job = forms.load("ask", settings).job
    forms.confine(job, studio.workspace, exposed=studio.exposed)
    if job.data.dataset_dir.startswith("REMOTE:"):
        return Warned(warnings=[])
    for entry in resolve(job.data.dataset, job.data.dataset_dir, hub=job.model.hub_name):
        if entry.place == "file":
            studio.workspace.inside(entry.location, field="dataset")
    return Warned(warnings=studio.children.asked().ask("unfilled", settings=settings)["warnings"])


@router.post("/config/command")
def show_command(asked: Asked) -> Command:
    """The same as a config file and as a command, without secrets."""
    return Command(
        yaml=forms.as_yaml(asked.settings, asked.verb),
        cli=forms.as_command(asked.verb, asked.settings, windows=os.name == "nt"),
        windows=forms.as_command(asked.verb, asked.settings, windows=True),
    )


@router.post("/config/import")
def import_config(text: Text, studio: TheStudio) -> Imported:
    """The settings of a file, LLaMA-Factory's too."""
    settings, notes, refused = forms.read_yaml(text.text, text.name, text.verb)
    return Imported(
        settings=settings,
        notes=notes,
        refused=[_problem(studio, error) for error in refused],
    )


def _export_problems(studio: Studio, resolved: Resolved) -> list[Problem]:
    folder = Path(resolved.job.export.export_dir or "")
    clash = taken.export_clash(studio, folder) if resolved.job.export.export_dir else None
    if clash is None:
        return []
    error, run = clash
    free = {"export_dir": taken.free_for_export(studio, folder).as_posix()}
    return [Problem(field=error.field, message=error.message, hint=error.hint, offer=free, run=run)]


def _problem(studio: Studio, error: UserError, resolved: Resolved | None = None) -> Problem:
    offer: dict[str, Any] = {}
    run = None
    if resolved:
        error, run = taken.named_run(error, resolved.job.run.output_dir, studio.workspace)
    if error.code == "in_use" and error.field == "output_dir" and resolved:
        folder = free_folder(Path(resolved.job.run.output_dir))
        offer = {"output_dir": folder.as_posix()}
    return Problem(field=error.field, message=error.message, hint=error.hint, offer=offer, run=run)
