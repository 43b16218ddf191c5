"""A data set that was just made: checked as `data check` does, and its first rows shown as training will see them."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tunesmith.authoring.publish import Published
from tunesmith.authoring.splitting import is_text
from tunesmith.config.places import cache_folder
from tunesmith.data.catalog import resolve
from tunesmith.data.check import check_dataset, render_check
from tunesmith.data.entry import DatasetEntry
from tunesmith.data.layout import Stage
from tunesmith.data.preview import plain_rows
from tunesmith.data.sources import locate, read_rows
from tunesmith.i18n import tr, trn
from tunesmith.jobs import data

_ROWS = 3


def show(*published: Published, model: str | None = None, template: str | None = None) -> int:
    """Print the check of what was made, and three rows of the first; returns 1 where no row of one can be trained on.

    Those behind the first are its validation rows, looked for in it too. model, template: see `show_entries`.
    """
    for each in published:
        if each.left is not None:
            told = tr("The earlier file {path} is no longer registered; it was left where it is.")
            _console().print(Text(told.format(path=each.left), style="yellow"))
    return show_entries([each.name for each in published], published[0].info, model=model, template=template)


def show_entries(names: list[str], info: Path, *, model: str | None = None, template: str | None = None) -> int:
    """The same for entries of a dataset_info.json.

    model: a folder, hub id or GGUF file; with it the rows are shown token by token through its template.
    """
    entries = resolve(names, info)
    stage: Stage = "pt" if is_text(names[0], info) else "sft"
    if model:
        return _with_model(names[0], info, stage, model, template)
    console = _console()
    if entries[0].preference is not None:
        for entry in entries:
            console.print(_rated(entry), markup=False)
        return 0
    code = 0
    for entry in entries:
        held = entries[1:] if entry is entries[0] else []
        report = check_dataset(entry, stage=stage, cache_dir=cache_folder(), placeholders={}, against=held)
        console.print(render_check(report))
        console.print()
        code = code if report.usable else 1
    console.print(tr("The first rows (green is trained):"))
    for row in plain_rows(entries[0], stage=stage, cache_dir=cache_folder(), placeholders={}, count=_ROWS):
        console.print(row)
        console.print()
    return code


def _rated(entry: DatasetEntry) -> str:
    """What there is to say of rows that no stage here trains on."""
    rows = sum(1 for _ in read_rows(locate(entry, cache_folder())))
    return tr("{name}: rated answers, {rows} for {stage}.").format(
        name=entry.name, rows=trn("{count:,} row", "{count:,} rows", rows), stage=entry.preference
    )


def _console() -> Console:
    """Colours on a terminal only; in a pipe, lines that are not cut."""
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False, emoji=False, soft_wrap=True)


def _with_model(name: str, info: Path, stage: Stage, model: str, template: str | None) -> int:
    from tunesmith.config.load import load_job

    keys = {
        "dataset": name,
        "dataset_dir": str(info),
        "model_name_or_path": model,
        "stage": stage,
        **({"template": template} if template else {}),
    }
    job = load_job([], keys, verb="data").job
    code = data.check(job)
    data.preview(job, _ROWS)
    return code
