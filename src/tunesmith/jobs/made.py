"""The rows of a `data make` job: written to its data set, shown while they come, written anew when a person decided.

`python -m tunesmith.jobs.made` answers a web page in JSON lines.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.authoring.decisions import Decisions
from tunesmith.authoring.journal import Journal
from tunesmith.authoring.make import Rows, Shown, failed_chunks
from tunesmith.authoring.options import MakeOptions, read_options
from tunesmith.authoring.publish import Published, publish
from tunesmith.data.editing import revision
from tunesmith.errors import UserError
from tunesmith.jobs.held_back import OwnFiles, held_back_file, lines_beside
from tunesmith.jobs.lines import Question, serve
from tunesmith.runs.files import read_json, replace_json
from tunesmith.runs.layout import RunLayout

_NO_OPTIONS = ("command", "sources")


@dataclass(frozen=True, slots=True)
class Written:
    """sets: the data set and, where one is kept apart, its validation set; empty where there is no row.

    held_back: rows by kind of reason; failed: chunks without an answer; beside: the file of both. stays: there is no
    row, and the earlier data set and what lies beside it were left as they are.
    """

    sets: tuple[Published, ...]
    held_back: Mapping[str, int]
    failed: int
    beside: Path
    by_chunk: bool
    decisions: int
    stays: bool

    def facts(self) -> dict[str, Any]:
        """What the job's report tells of the files."""
        return {
            "rows": {each.name: each.rows for each in self.sets},
            "files": [str(each.path) for each in self.sets],
            "revisions": {str(path): revision(path) for path in self._files()},
            "rejected": dict(self.held_back),
            "rejected_file": str(self.beside) if self.held_back or self.failed else None,
            "decisions": self.decisions,
        }

    def _files(self) -> list[Path]:
        return [each.path for each in self.sets] + [self.beside] * bool(self.held_back or self.failed)


def write_rows(
    layout: RunLayout,
    journal: Journal,
    options: MakeOptions,
    model: str,
    own: OwnFiles,
    *,
    replace: bool,
) -> Written:
    """Write what the journal's answers and a person's decisions make, and beside it the rows that are held back."""
    decisions = Decisions.read(layout.decisions)
    rows = Rows(journal, options, model, decisions)
    beside = held_back_file(options.out, options.dataset_dir)
    earlier = beside.with_name(f"{options.out}.{options.type}").exists()
    failed = 0
    with lines_beside(beside, own, replace=replace, stays=lambda: earlier and not rows.total) as write:
        held_back = rows.count(write)
        for chunk in failed_chunks(journal):
            failed += 1
            write(chunk)
    done = []
    if rows.total:
        apart = rows.apart()
        for validation in (False, True)[: 1 + bool(apart)]:
            name = f"{options.out}_val" if validation else options.out
            chosen = rows.of(apart, validation=validation)
            done.append(
                publish(chosen, name, options.dataset_dir, options.format, options.type, replace=replace, own=own)
            )
    stays = earlier and not rows.total
    return Written(tuple(done), held_back, failed, beside, rows.by_chunk, decisions.taken, stays)


class MadeRows:
    """The rows of a job as its journal has them now. What was looked at last is kept: turning its pages and searching
    it does not sift it anew."""

    def __init__(self) -> None:
        self._known: tuple[Any, list[dict[str, Any]]] = (None, [])

    def show(self, question: Question, stopped: threading.Event) -> Iterator[dict[str, Any]]:
        """offset and limit count those that fit.

        state: `kept`, `held` or `decided`; all where it is empty. query: words of the row. newest: the last one first.
        """
        layout = RunLayout(Path(question["run"]))
        state, words = str(question.get("state") or ""), str(question.get("query") or "").casefold().split()
        first, most = int(question.get("offset", 0)), int(question.get("limit", 20))
        everything, decisions = self._everything(layout)
        fitting = [each for each in everything if _fits(each, state, words)]
        report = read_json(layout.report)
        kinds = Counter(each["kind"] for each in everything if each["kind"])
        yield {
            "rows": (fitting[::-1] if question.get("newest") else fitting)[first : first + most],
            "fitting": len(fitting),
            "kept": len(everything) - kinds.total(),
            "held": kinds.total(),
            "decided": sum(each["by_hand"] for each in everything),
            "kinds": dict(kinds.most_common()),
            "written": report is not None,
            "unwritten": max(0, decisions - int((report or {}).get("decisions", 0))),
        }

    def _everything(self, layout: RunLayout) -> tuple[list[dict[str, Any]], int]:
        """All rows of the job, and how often something was decided on them."""
        decisions = Decisions.read(layout.decisions)
        with Journal(layout.journal) as journal:
            mark = (layout.root, journal.extent(), decisions.taken, layout.resolved.stat().st_mtime_ns)
            if mark != self._known[0]:
                options, model = _settings(layout)
                self._known = (None, [])
                self._known = (mark, [_told(each) for each in Rows(journal, options, model, decisions).all()])
        return self._known[1], decisions.taken


def write(question: Question, stopped: threading.Event) -> Iterator[dict[str, Any]]:
    """Write the data set anew. UserError with the field `revision` where it was changed since, unless `anyway`."""
    layout = RunLayout(Path(question["run"]))
    report = read_json(layout.report)
    if report is None:
        raise UserError("The job has not written its data set yet.", hint="What is decided counts when it does.")
    was = report.get("revisions", {})
    changed = [path for path in report.get("files", ()) if _revision(path) != was.get(path)]
    if changed and not question.get("anyway"):
        raise UserError(
            f"{Path(changed[0]).name} was changed since the job wrote it.",
            hint="Written anew it holds what the job's answers and your decisions make, and the change is lost.",
            field="revision",
        )
    options, model = _settings(layout)
    own = OwnFiles(layout, "data make")
    with Journal(layout.journal) as journal:
        written = write_rows(layout, journal, options, model, own, replace=bool(changed))
    if not written.sets:
        raise UserError(
            "Every row is held back, and a data set can't be empty: it stays as it was.",
            hint="Accept a row, or remove the data set on the page Data.",
        )
    replace_json(layout.report, {**report, **written.facts()})
    yield {"rows": written.facts()["rows"]}


def _settings(layout: RunLayout) -> tuple[MakeOptions, str]:
    """The job's options, and the name of the model that it asked."""
    import yaml

    asked = yaml.safe_load(layout.resolved.read_text(encoding="utf-8")) or {}
    if asked.get("command") != "data make":
        raise UserError(f"{layout.root} is no job of `tunesmith data make`.")
    options = read_options(MakeOptions, {name: value for name, value in asked.items() if name not in _NO_OPTIONS})
    model = (read_json(layout.environment) or {}).get("asked_model") or options.model
    return options, str(model)


def _fits(each: Mapping[str, Any], state: str, words: list[str]) -> bool:
    if state and not {"kept": not each["kind"], "held": bool(each["kind"]), "decided": each["by_hand"]}[state]:
        return False
    if not words:
        return True
    text = " ".join(str(each.get(name, "")) for name in ("question", "answer", "source", "reason")).casefold()
    return all(word in text for word in words)


def _said(row: Mapping[str, Any]) -> tuple[str, str]:
    """Question and answer, whatever the format of the row."""
    if "instruction" in row:
        return row["instruction"], row["output"]
    turns = row.get("conversations") or row.get("messages") or []
    said = [turn.get("value", turn.get("content", "")) for turn in turns if turn.get("role") != "system"]
    return said[0], said[-1]


_PLACE = (
    "source", "source_title", "source_heading", "source_page", "source_start", "source_end", "style", "evidence",
    "grounding", "judge_score", "judge_reason",
)  # fmt: skip


def _told(each: Shown) -> dict[str, Any]:
    question, answer = _said(each.row)
    facts = {name: each.row[name] for name in _PLACE if each.row.get(name) not in (None, "")}
    return {
        "key": each.key, "question": question, "answer": answer, "kind": each.kind, "reason": each.reason,
        "by_hand": each.by_hand, **facts,
    }  # fmt: skip


def _revision(path: str) -> str:
    try:
        return revision(Path(path))
    except OSError:
        return ""


if __name__ == "__main__":
    serve({"show": MadeRows().show, "write": write})
