"""What a person decided about rows that a model wrote. It lies beside the journal and counts whenever rows are made."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tunesmith.runs.files import JsonlTail, append_line

Verdict = Literal["accepted", "rejected", "open"]


@dataclass(frozen=True, slots=True)
class Decision:
    """question, answer: as the person wrote them, None where they stay as they are. open: as if nothing was decided."""

    verdict: Verdict
    question: str | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Decisions:
    """The last decision on each row, by its key. taken: how often something was decided up to now."""

    by_row: Mapping[str, Decision] = field(default_factory=dict)
    taken: int = 0

    @classmethod
    def read(cls, path: Path) -> Decisions:
        """Those in the file; none where it is missing."""
        records = JsonlTail(path).read_new()
        found = {
            record["row"]: Decision(record["verdict"], record.get("question"), record.get("answer"))
            for record in records
        }
        return cls({row: one for row, one in found.items() if one.verdict != "open"}, len(records))

    def on(self, row: str) -> Decision | None:
        return self.by_row.get(row)


def decide(path: Path, row: str, decision: Decision) -> None:
    """Write a decision down; the last one on a row counts."""
    record = {"row": row, "verdict": decision.verdict, "time": time.time()}
    for name in ("question", "answer"):
        if (text := getattr(decision, name)) is not None:
            record[name] = text
    append_line(path, record)
