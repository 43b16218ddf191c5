"""What lies beside a data set that was made: the rows that were held back, and whether the set is our own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tunesmith.authoring.publish import written_aside
from tunesmith.authoring.rows import Row
from tunesmith.errors import UserError
from tunesmith.runs.read import RunReader


@contextmanager
def lines_beside(path: Path) -> Iterator[Callable[[Row], None]]:
    """A file of JSON lines that is in place when all are written; none where there are none."""
    with written_aside(path) as aside:
        count = 0
        with aside.open("w", encoding="utf-8", newline="\n") as file:

            def write(row: Row) -> None:
                nonlocal count
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1

            yield write
        if count:
            aside.replace(path)
        else:
            path.unlink(missing_ok=True)


def published_before(run: Path, name: str) -> bool:
    """Whether a data set of that name came of an earlier attempt of this job, and may be written anew."""
    try:
        events = RunReader(run).events()
    except UserError:
        return False
    return any(event["kind"] == "published" and name in event["names"] for event in events)
