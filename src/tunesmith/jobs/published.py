"""A data set that was just made: checked as `data check` does, and its first rows shown as training will see them."""

from __future__ import annotations

import sys

from rich.console import Console

from tunesmith.authoring.publish import Published
from tunesmith.config.places import cache_folder
from tunesmith.data.catalog import resolve
from tunesmith.data.check import check_dataset, render_check
from tunesmith.data.layout import Stage
from tunesmith.data.preview import plain_rows
from tunesmith.i18n import tr
from tunesmith.jobs import data

_ROWS = 3


def show(published: Published, *, stage: Stage = "sft", model: str | None = None, template: str | None = None) -> int:
    """Print the check and three rows; returns 1 where no row can be trained on.

    model: a folder, hub id or GGUF file; with it the rows are shown token by token through its template.
    """
    if model:
        return _with_model(published, stage, model, template)
    console = _console()
    (entry,) = resolve([published.name], published.info)
    if entry.preference is not None:
        console.print(tr("Rated answers: {rows} rows for {stage}.").format(rows=published.rows, stage=entry.preference))
        return 0
    report = check_dataset(entry, stage=stage, cache_dir=cache_folder(), placeholders={})
    console.print(render_check(report))
    console.print()
    console.print(tr("The first rows (green is trained):"))
    for row in plain_rows(entry, stage=stage, cache_dir=cache_folder(), placeholders={}, count=_ROWS):
        console.print(row)
        console.print()
    return 0 if report.usable else 1


def _console() -> Console:
    """Colours on a terminal only; in a pipe, lines that are not cut."""
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False, emoji=False, soft_wrap=True)


def _with_model(published: Published, stage: Stage, model: str, template: str | None) -> int:
    from tunesmith.config.load import load_job

    keys = {
        "dataset": published.name,
        "dataset_dir": str(published.info),
        "model_name_or_path": model,
        "stage": stage,
        **({"template": template} if template else {}),
    }
    job = load_job([], keys, verb="data").job
    code = data.check(job)
    data.preview(job, _ROWS)
    return code
