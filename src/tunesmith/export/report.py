"""What a person sees of the files that were exported: sizes, what was lost, and a picture of one against the other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from tunesmith.export.verify import Quality
from tunesmith.i18n import tr
from tunesmith.runs.files import read_json, replace_json

_RECORD = "quality.json"


def quality_table(files: Sequence[Quality]) -> Table:
    """One line for each file."""
    table = Table(title=tr("Exported files beside the trained model"), box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(tr("file"), overflow="fold")
    for heading in (tr("MB"), tr("prompts"), tr("ids"), tr("same\ntoken"), tr("KL"), tr("loss")):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(tr("verdict"), no_wrap=True)
    for file in files:
        loss = "–" if file.loss is None else f"{file.loss:.3f}"
        verdict = file.verdict
        colour = {"pass": "green", "warn": "yellow", "fail": "red"}[verdict.status]
        table.add_row(
            file.file.name, f"{file.size / 1e6:,.0f}", f"{file.prompts}/{file.cases}", f"{file.ids}/{file.cases}",
            f"{file.agreement:.0%}", f"{file.divergence:.4f}", loss, f"[{colour}]{verdict.status}[/]",
        )  # fmt: skip
    table.caption = tr(
        "prompts and ids: conversations that are written, and cut into tokens, as trained; same token: the likeliest "
        "next one; KL in nats per token; loss on held-out rows (of the training data where none were held out)"
    )
    trained = next((file.reference_loss for file in files if file.reference_loss is not None), None)
    if trained is not None:
        table.caption += tr(", the trained model's is {loss}").format(loss=f"{trained:.3f}")
    return table


def plot_quality(files: Sequence[Quality], path: Path) -> None:
    """A PNG of size against divergence, one point for each file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([file.size / 1e6 for file in files], [max(file.divergence, 1e-6) for file in files], "o", color="#2563eb")
    for file in files:
        axes.annotate(
            file.kind, (file.size / 1e6, max(file.divergence, 1e-6)), textcoords="offset points", xytext=(6, 4)
        )
    axes.set_xlabel("MB")
    axes.set_ylabel("KL divergence from the trained model (nats per token)")
    axes.set_yscale("log")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def save_quality(files: Sequence[Quality], folder: Path, *, written: Iterable[Path] = ()) -> None:
    """The same for programs: quality.json in the exported folder, one entry for each file.

    Entries of files that an earlier export left there stay; those of what was `written` anew, or is gone, go.
    """
    if not folder.is_dir():
        return
    known = (read_json(folder / _RECORD) or {}).get("files")
    ours = [row for row in known if _is_ours(row)] if isinstance(known, list) else []
    if not files and not ours:
        return  # others write files of that name too
    anew = {*(path.name for path in written), *(file.file.name for file in files)}
    rows = [row for row in ours if _stays(row["file"], folder, anew)]
    for file in files:
        verdict = file.verdict
        judged = {"status": verdict.status, "detail": verdict.detail, "fix": verdict.fix}
        rows.append({**asdict(file), "file": file.file.name, **judged})
    if rows:
        replace_json(folder / _RECORD, {"files": rows})
    else:
        (folder / _RECORD).unlink(missing_ok=True)


def _is_ours(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("file"), str) and "status" in row


def _stays(name: str, folder: Path, anew: Collection[str]) -> bool:
    """Whether an entry is of something that is still there as it was compared; a whole folder goes by its name."""
    return name not in anew and (folder / ("config.json" if name == folder.name else name)).is_file()
