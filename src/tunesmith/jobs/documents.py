"""What a web page asks of documents before a data set is made of them: `python -m tunesmith.jobs.documents`, in JSON
lines. A process of its own: to read whole books takes long, and memory, masks and rows are not to wait for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.jobs.lines import Operation, Question, go_on, serve

if TYPE_CHECKING:
    from tunesmith.authoring.heads import Head

_MOST_TABLES, _MOST_COLUMNS, _LONGEST_CELL, _MOST_SPEAKERS = 6, 60, 300, 200


def tables(question: Question, stopped: threading.Event) -> Iterator[dict[str, Any]]:
    """The first tables among the sources: their columns, the first rows, and what becomes of the columns."""
    from tunesmith.authoring.convert import ConvertOptions
    from tunesmith.authoring.heads import heads
    from tunesmith.authoring.options import ConvertSettings, read_options

    options = ConvertOptions.of(read_options(ConvertSettings, question["options"]))
    found, more = heads(question["sources"], options, _MOST_TABLES, partial(go_on, stopped))
    yield {"tables": [_shown(head) for head in found], "more": more}


def speakers(question: Question, stopped: threading.Event) -> Iterator[dict[str, Any]]:
    """Who speaks in the sources, those who speak most first."""
    from tunesmith.authoring.options import RolesOptions, read_options
    from tunesmith.jobs.roles import speakers_in

    options = read_options(RolesOptions, question["options"])
    counts = speakers_in(
        [Path(source) for source in question["sources"]], options, lambda told: None, partial(go_on, stopped)
    )
    yield {"speakers": [{"name": name, "lines": lines} for name, lines in counts.most_common(_MOST_SPEAKERS)]}


def _shown(head: Head) -> dict[str, Any]:
    columns, problem = list(head.columns)[:_MOST_COLUMNS], head.problem
    return {
        "name": head.name,
        "columns": columns,
        "more_columns": max(0, len(head.columns) - _MOST_COLUMNS),
        "rows": [[_cell(row.get(column)) for column in columns] for row in head.rows],
        "format": head.format,
        "parts": {part: list(taken) for part, taken in head.parts.items()},
        "guessed": head.guessed,
        "problem": problem and {"field": problem.field, "message": problem.message, "hint": problem.hint},
    }


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"


DOCUMENTS: dict[str, Operation] = {"tables": tables, "speakers": speakers}

if __name__ == "__main__":
    serve(DOCUMENTS)
