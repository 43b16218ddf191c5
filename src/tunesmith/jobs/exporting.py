"""What an export would write and take, for the page: `python -m tunesmith.jobs.exporting`, in JSON lines.

A process that stays answers in a second or two, where a command spends most of its time loading libraries.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

from tunesmith.config.load import load_job
from tunesmith.jobs.lines import Question, serve


def forecast(question: Question, stopped: threading.Event) -> Iterator[dict[str, Any]]:
    """settings: of the export. The lines that `tunesmith export --dry-run` prints; UserError as it has them."""
    from tunesmith.jobs.export import preview

    job = load_job([], question["settings"], verb="export").job
    told = io.StringIO()
    with redirect_stdout(told):
        preview(job)
    yield {"lines": [line for line in told.getvalue().splitlines() if line.strip()]}


if __name__ == "__main__":
    serve({"forecast": forecast})
