"""Changes to the rows of a data set that a web page asks for, each in the file's own form; part of `jobs/questions.py`.

Every change names the revision of the files that the person saw, and is refused where they were changed since.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from tunesmith.config import Job
from tunesmith.config.load import load_job
from tunesmith.config.places import cache_folder
from tunesmith.errors import UserError
from tunesmith.jobs.lines import Operation, Question

if TYPE_CHECKING:
    from tunesmith.data.entry import DatasetEntry
    from tunesmith.data.sources import SourceFile, SourceRow

Part = dict[str, Any]
_MOST = 200


def save_row(question: Question, stopped: threading.Event) -> Iterator[Part]:
    """Put a row in the place of another: `row`, or what `text` says in the form of the file. revision: of the files as
    the person saw them."""
    from tunesmith.data.editing import replace_row, revision, row_of
    from tunesmith.data.sources import read_rows

    _, entry, files = dataset_of(question)
    _must_be_unchanged(files, question)
    number = int(question["number"])
    if entry.place != "file":
        raise UserError("Rows of a data set on a hub can't be changed here.", hint="Save it as a file first.")
    for file in files:
        count = sum(1 for _ in read_rows([file])) if len(files) > 1 else number + 1
        if number < count:
            row = question.get("row")
            replace_row(file, number, row_of(file, question["text"]) if row is None else row)
            break
        number -= count
    yield {"revision": ",".join(revision(file.path) for file in files)}


def clean(question: Question, stopped: threading.Event) -> Iterator[Part]:
    """Take out the rows that can't be used (`refused`), those that came before (`duplicates`), or the one with the
    number (`row`); they are kept beside the file."""
    from tunesmith.data.check import normal_digest
    from tunesmith.data.editing import keep_rows, revision, taken_out
    from tunesmith.data.examples import ExampleReader, Refusal
    from tunesmith.data.sources import read_rows
    from tunesmith.data.tokenize import open_dataset

    job, entry, files = dataset_of(question)
    _must_be_unchanged(files, question)
    if entry.place != "file":
        raise UserError("Rows of a data set on a hub can't be changed here.", hint="Save it as a file first.")
    layout, _ = open_dataset(entry, files, job.objective.stage)
    reader = ExampleReader(layout, job.data.placeholders)
    removed, before = 0, 0
    seen: set[bytes] = set()
    for file in files:
        if question["what"] == "row":
            alone = int(question["number"]) - before
            before += sum(1 for _ in read_rows([file]))
            removed += keep_rows(file, partial(_is_other, alone), taken_out(file))
            continue
        verdicts: dict[int, bool] = {}

        def wanted(number: int, row: SourceRow, verdicts: dict[int, bool] = verdicts) -> bool:
            if number not in verdicts:
                read = reader.read(row)
                if question["what"] == "refused":
                    verdicts[number] = not isinstance(read, Refusal)
                else:
                    digest = b"" if isinstance(read, Refusal) else normal_digest(read.example)
                    verdicts[number] = not digest or digest not in seen
                    seen.add(digest)
            return verdicts[number]

        removed += keep_rows(file, wanted, taken_out(file))
    yield {"removed": removed, "revision": ",".join(revision(file.path) for file in files)}


def _is_other(alone: int, number: int, row: SourceRow) -> bool:
    return number != alone


def removed(question: Question, stopped: threading.Event) -> Iterator[Part]:
    """Rows that were taken out, the last one first. line: by which one is put back."""
    from tunesmith.data.editing import taken_out

    found = []
    for number, file in enumerate(dataset_of(question)[2]):
        aside = taken_out(file)
        lines = aside.read_text(encoding="utf-8", errors="replace").splitlines() if aside.is_file() else []
        found += [{"file": number, "line": line, "row": json.loads(line)["row"]} for line in lines if line]
    yield {"rows": [one for one in found[::-1] if one["row"] is not None][:_MOST]}


def restore(question: Question, stopped: threading.Event) -> Iterator[Part]:
    """Put back a row that was taken out. file: the number of its file."""
    from tunesmith.data.editing import put_back, revision

    _, _, files = dataset_of(question)
    _must_be_unchanged(files, question)
    number = int(question["file"])
    if number >= len(files):
        raise UserError(f"The data set has no file {number}.", hint="Look at it anew.", field="file")
    put_back(files[number], question["line"])
    yield {"revision": ",".join(revision(file.path) for file in files)}


def job_of(question: Question) -> Job:
    # No rule of a command is applied: a form that is half filled in may ask too.
    return load_job([], question["settings"], verb="ask").job


def dataset_of(question: Question) -> tuple[Job, DatasetEntry, list[SourceFile]]:
    from tunesmith.data.catalog import resolve
    from tunesmith.data.sources import locate

    job = job_of(question)
    entries = resolve([question["dataset"]], job.data.dataset_dir, hub=job.model.hub_name)
    if not entries:
        raise UserError("No data set is named.", field="dataset")
    return job, entries[0], locate(entries[0], cache_folder())


def _must_be_unchanged(files: list[SourceFile], question: Question) -> None:
    from tunesmith.data.editing import revision

    if question.get("revision") != ",".join(revision(file.path) for file in files):
        raise UserError(
            "The file was changed meanwhile, perhaps in another tab.", hint="Look at it anew.", field="revision"
        )


CHANGES: Mapping[str, Operation] = {"save_row": save_row, "clean": clean, "removed": removed, "restore": restore}
