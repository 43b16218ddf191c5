"""What a job has written of its data set, and what lies beside it: the rows that were held back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tunesmith.authoring.catalog_file import info_path
from tunesmith.authoring.publish import Own, refuse_existing, written_aside
from tunesmith.authoring.rows import Row
from tunesmith.data.editing import revision
from tunesmith.errors import UserError
from tunesmith.runs.files import read_json
from tunesmith.runs.layout import RunLayout
from tunesmith.runs.read import RunReader
from tunesmith.runs.run import Run

_KIND = "writes"
"""Of the events that tell path and revision of a file before it is put in its place."""


class OwnFiles:
    """The files that a job's run, in this attempt or an earlier one, has put in place.

    What was changed since, or lies elsewhere under the same name, is not its own. command: what the run must be of.
    """

    def __init__(self, layout: RunLayout, command: str) -> None:
        self.run: Run | None = None
        """The run that is told what is written; None where the caller keeps that itself."""
        self._known = set(_written(layout, command))

    @property
    def any(self) -> bool:
        """Whether it wrote anything."""
        return bool(self._known)

    def has(self, path: Path) -> bool:
        """As `Own` says."""
        try:
            return (path.resolve(), revision(path)) in self._known
        except FileNotFoundError:
            return self.wrote(path)

    def wrote(self, path: Path) -> bool:
        """Whether it wrote there, whatever lies there now."""
        return path.resolve() in {known for known, _ in self._known}

    def writes(self, path: Path, revision: str) -> None:
        """As `Own` says."""
        self._known.add((path.resolve(), revision))
        if self.run is not None:
            self.run.event(_KIND, path=str(path.resolve()), revision=revision)


def _written(layout: RunLayout, command: str) -> Iterator[tuple[Path, str]]:
    """Paths with their revisions. The report holds those that the studio wrote after the run had ended."""
    try:
        reader = RunReader(layout.root)
        kind = reader.state().kind
    except UserError:
        return
    if kind != command:
        return
    yield from ((Path(event["path"]), event["revision"]) for event in reader.events() if event["kind"] == _KIND)
    known = (read_json(layout.report) or {}).get("revisions") or {}
    yield from ((Path(path).resolve(), known[path]) for path in known)


@contextmanager
def lines_beside(
    path: Path, own: Own | None = None, *, replace: bool = False, stays: Callable[[], bool] = lambda: False
) -> Iterator[Callable[[Row], None]]:
    """A file of JSON lines that is in place when all are written; where there are none, the earlier one is removed.

    stays: asked when all are written, whether the earlier one is left as it is nevertheless.
    UserError where a file lies there that may not be replaced.
    """
    refuse_existing(path, replace=replace, own=own)
    with written_aside(path) as aside:
        count = 0
        with aside.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:

            def write(row: Row) -> None:
                nonlocal count
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1

            yield write
        if stays():
            return
        refuse_existing(path, replace=replace, own=own)
        if count:
            if own is not None:
                own.writes(path, revision(aside))
            aside.replace(path)
        else:
            path.unlink(missing_ok=True)


def held_back_file(name: str, dataset_dir: str | Path) -> Path:
    """The file of the rows that are held back from a data set."""
    return info_path(dataset_dir).parent / f"{name}.rejected.jsonl"
