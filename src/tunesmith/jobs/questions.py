"""What a web page asks of data, templates and memory: `python -m tunesmith.jobs.questions`, in JSON lines."""

from __future__ import annotations

from tunesmith.jobs.lines import Operation, serve

OPERATIONS: dict[str, Operation] = {}

if __name__ == "__main__":
    serve(OPERATIONS)
