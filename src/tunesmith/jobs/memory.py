"""What a step of a training would take, for the page: over the longest rows of its data, where these can be told."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tunesmith.config import Job
from tunesmith.config.places import cache_folder
from tunesmith.errors import UserError
from tunesmith.jobs.changes import job_of
from tunesmith.jobs.lines import Question, go_on, while_wanted

if TYPE_CHECKING:
    from tunesmith.data.entry import DatasetEntry
    from tunesmith.text.conversation import Example

_GLANCED = 20_000
_TOKENIZED = 64
_KEPT = 64
# oneDNN compiles a kernel for each shape, 0.7 MB each, and keeps 1,024 of them; batches without padding are of many.
_KERNELS = " Over the first hundreds of steps kernels for each length of a batch add up to 0.7 GB."


class Memory:
    """Estimates, with the longest rows that were found for them."""

    def __init__(self) -> None:
        self._longest: OrderedDict[str, int | None] = OrderedDict()

    def estimate(self, question: Question, stopped: threading.Event) -> Iterator[dict[str, Any]]:
        """Memory of a step over the longest rows. free: bytes on the device, which is `cpu` or `cuda`. look: a mark of
        the data as it is now, "" where it may not be looked at; at_most: whether the rows are taken to be of
        cutoff_len tokens without knowing it."""
        from tunesmith.models.locate import locate
        from tunesmith.models.precision import choose_device, choose_precision, device_facts, requested_precision
        from tunesmith.models.vocabulary import prepare_vocabulary
        from tunesmith.training.ground import estimate_step

        job = job_of(question)
        if not job.model.model_name_or_path:
            raise UserError("No model is chosen yet.", field="model_name_or_path")
        located = locate(replace(job.model, train_from_scratch=True))  # of a hub's model the small files alone
        folder = prepare_vocabulary(job.model, located, cache_folder()).folder
        kind = str(question.get("device", "cpu"))
        device = choose_device(use_cpu=kind == "cpu")
        precision = choose_precision(requested_precision(job.training), device_facts(device))
        free = int(question.get("free", 0))
        mark = question.get("look")
        longest = self._longest_known(job, str(mark), stopped) if mark else None
        length = longest or job.data.cutoff_len
        go_on(stopped)
        found = estimate_step(job, folder, precision, length, device=kind, free=free)
        yield {
            "parts": dict(found.parts),
            "total": found.total,
            "trainable": found.parameters.trainable,
            "parameters": found.parameters.total,
            "checkpointing": found.checkpointing,
            "precision": precision.note + (_KERNELS if kind == "cpu" and precision.compute.itemsize == 2 else ""),
            "longest": length,
            "at_most": longest is None,
        }

    def _longest_known(self, job: Job, mark: str, stopped: threading.Event) -> int | None:
        """As `_longest_row`, which is looked for once while neither the data nor what is made of it changes."""
        key = repr((job.data, job.objective.stage, job.model, mark))
        if key not in self._longest:
            self._longest[key] = _longest_row(job, stopped)
            if len(self._longest) > _KEPT:
                self._longest.popitem(last=False)
        return self._longest[key]


def _longest_row(job: Job, stopped: threading.Event) -> int | None:
    """Tokens of the longest row that training would meet; None where that takes reading too much, or can't be told.

    Only the rows of the most bytes are tokenized: one of them is the longest in tokens, or all but.
    """
    from tunesmith.data.catalog import resolve
    from tunesmith.jobs.data import text_reader
    from tunesmith.text.rows import RowError

    if job.data.packing or job.data.neat_packing or job.data.streaming:
        return job.data.cutoff_len
    found: list[Example] = []
    try:
        entries = resolve(job.data.dataset, job.data.dataset_dir, hub=job.model.hub_name)
        encoder = text_reader(job).encoder(job, job.data.cutoff_len)
        for entry in entries:
            largest = _largest(job, entry, stopped)
            if largest is None:
                return None
            found += largest
        lengths = [len(one.input_ids) for one in encoder.encode(found) if not isinstance(one, RowError)]
    except UserError:  # the check tells of it
        return None
    return max(lengths, default=None)


def _largest(job: Job, entry: DatasetEntry, stopped: threading.Event) -> list[Example] | None:
    """The rows of the most bytes among those that training would read; None where these are too many, or elsewhere."""
    from tunesmith.data.examples import ExampleReader, Refusal
    from tunesmith.data.sources import locate
    from tunesmith.data.tokenize import open_dataset, rows_read

    if entry.place != "file":
        return None
    layout, source = open_dataset(entry, locate(entry, cache_folder()), job.objective.stage)
    examples = ExampleReader(layout, job.data.placeholders)
    enough = _GLANCED + 1
    most = min(rows_read(entry, job.data.max_samples) or enough, enough)
    rows = list(itertools.islice(while_wanted(source, stopped), most))
    if len(rows) > _GLANCED:
        return None
    read = (examples.read(row) for row in while_wanted(rows, stopped))
    usable = (one.example for one in read if not isinstance(one, Refusal))
    return heapq.nlargest(_TOKENIZED, usable, key=lambda example: len(repr(example).encode()))
