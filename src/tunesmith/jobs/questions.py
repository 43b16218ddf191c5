"""What a web page asks of data, templates and memory: `python -m tunesmith.jobs.questions`, in JSON lines.

Every question brings the settings of a job; heavy libraries come in where a question needs them.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.config import Job
from tunesmith.config.places import cache_folder
from tunesmith.errors import UserError
from tunesmith.jobs import lengths
from tunesmith.jobs.changes import CHANGES, dataset_of, job_of
from tunesmith.jobs.lines import Operation, Question, go_on, serve, while_wanted
from tunesmith.jobs.memory import Memory

if TYPE_CHECKING:
    from tunesmith.data.entry import DatasetEntry
    from tunesmith.data.sources import SourceFile, SourceRow
    from tunesmith.jobs.data import TextReader

_LISTED = 200
_MOST_ALIGNED = 20_000
_GLANCED = 20_000
Part = dict[str, Any]


def rows(question: Question, stopped: threading.Event) -> Iterator[Part]:
    """Rows of a data set as they stand in its files, with what makes one unusable; offset and limit count rows."""
    from tunesmith.data.editing import EDITABLE, revision
    from tunesmith.data.examples import ExampleReader, Refusal
    from tunesmith.data.sources import read_rows

    job, entry, files = dataset_of(question)
    layout, problem = _layout(job, entry, files)
    reader = ExampleReader(layout, job.data.placeholders) if layout else None
    first, most = int(question.get("offset", 0)), int(question.get("limit", 20))
    listed = []
    for number, row in enumerate(itertools.islice(while_wanted(read_rows(files), stopped), first, first + most), first):
        read = reader.read(row) if reader else None
        refused = read.reason if isinstance(read, Refusal) else None
        listed.append(_shown(number, row) | {"problem": refused})
    yield {
        "rows": listed,
        "columns": _columns_wanted(files, layout),
        "problem": problem,
        "editable": all(file.path.suffix.lower() in EDITABLE for file in files) and entry.place == "file",
        "revision": ",".join(revision(file.path) for file in files),
    }


def look(known: lengths.Lengths, question: Question, stopped: threading.Event) -> Iterator[Part]:
    """How a data set is read: format, columns, what can't be used and why, lengths where a model is named, which are
    known from then on."""
    from tunesmith.data.editing import revision
    from tunesmith.data.headers import likeliest
    from tunesmith.data.tokenize import open_dataset
    from tunesmith.jobs.data import checked, text_reader

    job, entry, files = dataset_of(question)
    facts: Part = {
        "files": [
            {"path": str(file.path), "bytes": file.path.stat().st_size, "encoding": file.encoding} for file in files
        ],
        "revision": ",".join(revision(file.path) for file in files),
        "found": _columns_found(files),
        "told": entry.formatting is not None or entry.columns_given,
    }
    try:
        layout, _ = open_dataset(entry, files, job.objective.stage)
    except UserError as error:
        problem = {"message": error.message, "hint": error.hint, "field": error.field}
        pair = likeliest(facts["found"]) if error.code == "columns" else None
        guess = {} if pair is None else {"prompt": pair[0], "response": pair[1]}
        yield facts | {"format": None, "problem": problem, "guess": guess, "columns": _named(entry.columns)}
        return
    reader: TextReader | None = None
    if job.model.model_name_or_path:
        reader = text_reader(job)
    key = lengths.key_of(job, entry, files)
    report = checked(job, entry, reader, against=[], before_batch=partial(go_on, stopped))
    if report.lengths is not None:
        known.keep(key, report.lengths)
    yield facts | {
        "format": report.format,
        "columns": _named(layout.columns),
        "tags": _named(layout.tags),
        "rows": report.rows,
        "usable": report.usable,
        "reasons": dict(report.reasons),
        "refusals": [
            {"file": Path(one.file).name, "line": one.line, "reason": one.reason} for one in report.refusals[:_LISTED]
        ],
        "duplicates": report.duplicates,
        "near_duplicates": report.near_duplicates,
        "contradictions": report.contradictions,
        "unasked": report.unasked,
        "unasked_at": list(report.unasked_at),
        "placeholders": dict(report.placeholders),
        "notes": [*report.notes, *(reader.notes if reader else ())],
        "lengths": lengths.counted(report.lengths, job.data.cutoff_len) if report.lengths is not None else None,
    }


def unfilled(question: Question, stopped: threading.Event) -> Iterator[Part]:
    """What a training would say of placeholders that it leaves in its rows, as far as they lie on this machine. The
    first rows tell: a form is not to wait for the end of a large file."""
    from tunesmith.data.catalog import resolve
    from tunesmith.data.examples import ExampleReader, Refusal
    from tunesmith.data.report import unfilled as told
    from tunesmith.data.sources import locate
    from tunesmith.data.tokenize import open_dataset

    job = job_of(question)
    left: Counter[str] = Counter()
    for entry in resolve(job.data.dataset, job.data.dataset_dir, hub=job.model.hub_name):
        if entry.place == "file":
            layout, source = open_dataset(entry, locate(entry, cache_folder()), job.objective.stage)
            examples = ExampleReader(layout, job.data.placeholders)
            for row in itertools.islice(source, _GLANCED):
                read = examples.read(row)
                left.update(() if isinstance(read, Refusal) else read.left)
    yield {"warnings": [told(dict(left.most_common()))] if left else []}


def mask(question: Question, stopped: threading.Event) -> Iterator[Part]:
    """Samples as pieces of text with their tokens: trained, masked (context), special, truncated (cut off)."""
    from tunesmith.data.examples import ExampleReader, Refusal
    from tunesmith.data.tokenize import open_dataset
    from tunesmith.jobs.data import text_reader
    from tunesmith.text.rows import RowError

    job, entry, files = dataset_of(question)
    reader = text_reader(job)
    whole, cut = reader.encoder(job, None), reader.encoder(job, job.data.cutoff_len)
    layout, source = open_dataset(entry, files, job.objective.stage)
    examples = ExampleReader(layout, job.data.placeholders)
    first, most = int(question.get("offset", 0)), int(question.get("limit", 5))
    samples: list[Part] = []
    for number, row in enumerate(itertools.islice(while_wanted(source, stopped), first, first + most), first):
        read = examples.read(row)
        sample: Any = RowError(read.reason) if isinstance(read, Refusal) else whole.encode([read.example])[0]
        if isinstance(sample, RowError):
            samples.append({"number": number, "line": row.line, "problem": sample.reason, "pieces": []})
            continue
        ids, trained = sample.input_ids.tolist(), (sample.weights != 0).tolist()
        kept = None
        if len(ids) > job.data.cutoff_len and not isinstance(read, Refusal):
            shorter = cut.encode([read.example])[0]
            kept = None if isinstance(shorter, RowError) else _kept(ids, shorter.input_ids.tolist())
        samples.append({
            "number": number,
            "line": row.line,
            "problem": None,
            "tokens": len(ids),
            "trained": sum(t and (kept is None or k) for t, k in zip(trained, kept or trained, strict=True)),
            "pieces": list(_pieces(ids, trained, kept, reader)),
        })  # fmt: skip
    yield {
        "samples": samples,
        "notes": [*reader.notes, *whole.notes],
        "template": getattr(reader.template, "name", None),
    }


def _layout(job: Job, entry: DatasetEntry, files: list[SourceFile]) -> tuple[Any, Part | None]:
    from tunesmith.data.tokenize import open_dataset

    try:
        return open_dataset(entry, files, job.objective.stage)[0], None
    except UserError as error:
        return None, {"message": error.message, "hint": error.hint, "field": error.field}


def _shown(number: int, source: SourceRow) -> Part:
    from tunesmith.text.rows import RowError

    place = {"number": number, "file": Path(source.file).name, "line": source.line}
    if isinstance(source.row, RowError):
        return place | {"row": None, "text": source.row.text}
    return place | {"row": _jsonable(source.row), "text": None}


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and value != value:
        return None
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _columns_found(files: list[SourceFile]) -> list[str]:
    """The columns of the first rows."""
    from tunesmith.data.sources import read_rows
    from tunesmith.text.rows import RowError

    names: dict[str, None] = {}
    for row in itertools.islice(read_rows(files), 20):
        if not isinstance(row.row, RowError):
            names.update(dict.fromkeys(map(str, row.row)))
    return list(names)


def _columns_wanted(files: list[SourceFile], layout: Any) -> list[str]:
    """The columns that a row may have: those of the first rows, and the two that the format can't do without."""
    needed = [layout.columns.prompt, layout.columns.response] if layout and layout.format.name == "alpaca" else []
    return list(dict.fromkeys([*_columns_found(files), *(name for name in needed if name)]))


def _named(record: Any) -> dict[str, str]:
    from dataclasses import asdict

    return {key: value for key, value in asdict(record).items() if value is not None}


def _kept(whole: list[int], cut: list[int]) -> list[bool] | None:
    """Which tokens of the whole sample the shortened one still has."""
    if len(whole) > _MOST_ALIGNED:
        return None
    kept = [False] * len(whole)
    for block in SequenceMatcher(None, whole, cut, autojunk=False).get_matching_blocks():
        kept[block.a : block.a + block.size] = [True] * block.size
    return kept


def _pieces(ids: list[int], trained: list[bool], kept: list[bool] | None, reader: TextReader) -> Iterator[Part]:
    """One piece per token, or per few where only they together make a character."""
    special = set(reader.tokenizer.control_tokens.values())

    def kind(at: int) -> tuple[str, bool]:
        cut = kept is not None and not kept[at]
        word = "truncated" if cut else "special" if ids[at] in special else "trained" if trained[at] else "masked"
        return word, trained[at] and not cut

    at = 0
    while at < len(ids):
        end = at + 1
        text = reader.tokenizer.decode(ids[at:end])
        while "\ufffd" in text and end < len(ids) and end - at < 6 and kind(end) == kind(at):
            end += 1
            text = reader.tokenizer.decode(ids[at:end])
        word, learned = kind(at)
        yield {"text": text, "ids": ids[at:end], "kind": word, "trained": learned}
        at = end


def operations() -> dict[str, Operation]:
    """What a process answers, with what it remembers from one question to the next."""
    known = lengths.Lengths()
    return {
        "estimate": Memory().estimate,
        "rows": rows,
        "look": partial(look, known),
        "cutoff": known.cutoff,
        "unfilled": unfilled,
        "mask": mask,
        **CHANGES,
    }


if __name__ == "__main__":
    serve(operations())
