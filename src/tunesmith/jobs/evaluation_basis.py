"""What the results of an evaluation stand on. One that goes on after its model or data has changed keeps nothing that
is of the earlier ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tunesmith.config import Job
from tunesmith.data.tokens import SampleStore
from tunesmith.evaluation.predict import is_answered
from tunesmith.evaluation.questions import Question
from tunesmith.evaluation.results import Predictions
from tunesmith.i18n import tr
from tunesmith.runs.files import read_json, replace_json
from tunesmith.runs.run import Run

_WEIGHTS = (".safetensors", ".gguf", ".bin")
_KEY = "evaluated"


def mark_of_model(job: Job, model: Path) -> str:
    """Hash of names, sizes and times of the weights: of the model, a folder or a file, and of the job's adapters."""
    from tunesmith.models.adapter_files import locate_adapter

    adapters = [locate_adapter(name, job.adapter, job.model) for name in job.adapter.adapter_name_or_path]
    facts = []
    for place in (model, *adapters):
        files = [place] if place.is_file() else sorted(each for each in place.iterdir() if each.suffix in _WEIGHTS)
        facts.append([(each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in files])
    return hashlib.blake2b(repr(facts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def mark_of_rows(evals: Mapping[str, SampleStore]) -> str:
    """Hash of the tokens and weights that the loss is of."""
    digest = hashlib.blake2b(digest_size=16)
    for name, store in evals.items():
        digest.update(repr((name, len(store))).encode())
        for row in range(len(store)):
            digest.update(store.ids(row).tobytes() + store.weights(row).tobytes())
    return digest.hexdigest()


def keep_what_is_of(
    run: Run, model: str, rows: str | None, questions: Sequence[Question], written: Predictions, *, compared: bool
) -> Iterator[str]:
    """Leave in the run what is of this model, these rows and these questions; yields a sentence on what was dropped.

    model, rows: marks, None where no loss is asked for. compared: the base model is asked too.
    """
    now = {"model": model, "rows": rows}
    before = (read_json(run.layout.environment) or {}).get(_KEY) or now
    other_model = before.get("model") != model
    if (other_model or before.get("rows") != rows) and run.layout.results("eval").exists():
        _forget(run, "eval")
        yield tr("The model or the data has changed: the loss is measured again.")
    if questions and len(written):
        kept = [] if other_model else [q.index for q in questions if is_answered(q, written, compared=compared)]
        dropped = len(written) - len(kept)
        if dropped:
            written.keep(kept)
            _forget(run, "predict")
            told = tr("{dropped} earlier answers are left out: they failed, or the model or the data has changed.")
            yield told.format(dropped=dropped)
    run.add_environment(**{_KEY: now})


def _forget(run: Run, kind: str) -> None:
    """The results of one kind, among those of all kinds too."""
    run.layout.results(kind).unlink(missing_ok=True)
    everything = read_json(run.layout.results("all")) or {}
    left = {name: value for name, value in everything.items() if not name.startswith(f"{kind}_")}
    if left != everything:
        replace_json(run.layout.results("all"), left)
