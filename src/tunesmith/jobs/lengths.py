"""How long the rows of a data set are and what a cutoff makes of them; part of `jobs/questions.py`.

The rows that were looked at last are not counted again for another cutoff.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tunesmith.config import Job
from tunesmith.jobs.changes import dataset_of
from tunesmith.jobs.lines import Question, go_on

if TYPE_CHECKING:
    from tunesmith.data.entry import DatasetEntry
    from tunesmith.data.sources import SourceFile

Part = dict[str, Any]
_CUTOFFS = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


class Lengths:
    """int64 [rows] of the data set that was counted last, under what they depend on."""

    def __init__(self) -> None:
        self._key, self._lengths = "", None

    def keep(self, key: str, lengths: Any) -> None:
        """Remember them, in place of those that were known. key: of `key_of`, from before they were counted."""
        self._key, self._lengths = key, lengths

    def cutoff(self, question: Question, stopped: threading.Event) -> Iterator[Part]:
        """What the job's cutoff_len would cut off; rows are counted only where they are not known."""
        from tunesmith.jobs.data import checked, text_reader

        job, entry, files = dataset_of(question)
        if (key := key_of(job, entry, files)) != self._key:
            report = checked(job, entry, text_reader(job), against=[], before_batch=partial(go_on, stopped))
            self.keep(key, report.lengths)
        yield _at_cutoff(self._lengths, job.data.cutoff_len)


def key_of(job: Job, entry: DatasetEntry, files: list[SourceFile]) -> str:
    """What lengths depend on, which no cutoff_len is part of."""
    from tunesmith.data.editing import revision

    revisions = [(file.path, revision(file.path)) for file in files]
    return repr((replace(job.data, cutoff_len=1), job.objective.stage, job.model, entry, revisions))


def counted(lengths: Any, cutoff: int) -> Part:
    """lengths: int64 [rows], tokens before any cut. Their histogram, and what several cutoffs cut off and fill."""
    import numpy as np

    if not len(lengths):
        return {"histogram": [], "cutoffs": [], "total": 0, "longest": 0, "median": 0}
    longest = int(lengths.max())
    width = max(1, -(-longest // 60))
    counts = np.bincount((lengths - 1) // width)
    plans = []
    for limit in sorted({*_CUTOFFS, cutoff}):
        plans.append(_at_cutoff(lengths, limit))
        if limit >= longest and limit >= cutoff:
            break
    return {
        "histogram": [
            {"from": at * width + 1, "to": (at + 1) * width, "count": int(count)} for at, count in enumerate(counts)
        ],
        "cutoffs": plans,
        "total": int(lengths.sum()),
        "longest": longest,
        "median": int(np.median(lengths)),
    }


def _at_cutoff(lengths: Any, limit: int) -> Part:
    """lengths: int64 [rows]. What one cutoff would cut off, and how full packed rows would be."""
    import numpy as np

    from tunesmith.data.packing import pack

    short = np.minimum(lengths, limit)
    packed = pack(short, limit)
    return {
        "cutoff": limit,
        "truncated_rows": int((lengths > limit).sum()),
        "truncated_tokens": int((lengths - short).sum()),
        "packed_rows": len(packed),
        "fill": float(short.sum() / (len(packed) * limit)) if len(packed) else 0.0,
    }
