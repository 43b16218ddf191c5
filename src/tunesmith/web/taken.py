"""Folders that a run at work writes to, told as the page names runs."""

from __future__ import annotations

from pathlib import Path

from tunesmith.errors import UserError
from tunesmith.runs.read import RunReader
from tunesmith.runs.state import process_lives
from tunesmith.web import forms
from tunesmith.web.studio import Studio
from tunesmith.web.summaries import ACTIVE
from tunesmith.web.workspace import Clash, Workspace


def exporter_to(studio: Studio, folder: Path) -> str | None:
    """The export, waiting or at work, that writes to a folder."""
    wanted = studio.workspace.inside(folder)
    for summary in studio.look().runs:
        if summary.kind == "export" and summary.status in ACTIVE:
            target = forms.mapping_in(studio.workspace.run(summary.id).layout.resolved).get("export_dir")
            if isinstance(target, str) and target and (studio.workspace.root / target).resolve() == wanted:
                return summary.id
    return None


def export_clash(studio: Studio, folder: Path) -> tuple[Clash, str] | None:
    """What keeps an export from writing to a folder now, and the run that does."""
    run = exporter_to(studio, folder)
    if run is None:
        return None
    place = folder.as_posix()
    hint = "Choose another folder, or wait for its end."
    return Clash(f"The export {run} writes to {place}.", hint=hint, field="export_dir"), run


def free_for_export(studio: Studio, folder: Path) -> Path:
    """The first folder beside it, name_2, name_3 …, that is not there and that no export is going to make."""
    number, candidate = 2, folder
    while candidate.exists() or exporter_to(studio, candidate):
        candidate, number = folder.with_name(f"{folder.name}_{number}"), number + 1
    return candidate


def named_run(error: UserError, folder: str, workspace: Workspace) -> tuple[UserError, str | None]:
    """The refusal of an output_dir that a run at work writes to, and that run; any other as it is."""
    if error.code != "in_use" or error.field != "output_dir":
        return error, None
    try:
        run = RunReader(Path(folder))
        lives = process_lives(run.state())
    except UserError:
        return error, None
    if not lives:
        return error, None
    name = workspace.relative(run.path)
    hint = "Choose another folder, or stop it first."
    return Clash(f"{name} is at work in this folder.", hint=hint, field=error.field, code=error.code), name
