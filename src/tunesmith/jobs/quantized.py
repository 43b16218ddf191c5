"""`export_quantization_bit`: the texts that a quantization is calibrated and measured with, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.config import Job
from tunesmith.config.export import ExportConfig
from tunesmith.config.places import cache_folder
from tunesmith.errors import UserError
from tunesmith.i18n import tr
from tunesmith.text.rows import RowError

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.data.tokens import SampleStore
    from tunesmith.jobs.opened import Opened

Row = tuple[np.ndarray, np.ndarray]
"""int32 ids [T] and float32 weights [T] of a sample."""

_BITS = {"gptq": 4, "awq": 4, "int8": 8, "fp8": 8}
_HELD_ROWS, _HELD_TOKENS = 24, 512
_SPREAD = 4  # a calibration set is drawn from so many times its tokens


def asked_quantization(export: ExportConfig) -> tuple[str, int] | None:
    """(method, bits) of the safetensors; None where they are not to be quantized."""
    method, bits = export.export_quantization_method, export.export_quantization_bit
    if method == "auto" and bits is None:
        return None
    method = "gptq" if method == "auto" else method
    return method, bits or _BITS[method]


def quantization_line(job: Job, model: Opened) -> tuple[str, int]:
    """What the plan says, and the bytes of disk it takes. UserError where no library can do it."""
    from tunesmith.export.quantize import find_quantizer

    asked = asked_quantization(job.export)
    assert asked is not None
    found = find_quantizer(*asked)
    line = tr("  safetensors  {method}, {bits} bits, with {library} {version}").format(
        method=asked[0], bits=asked[1], library=found.quantizer.package, version=found.version
    )
    return line, 2 * model.source.nbytes  # the merged model lies beside the quantized one for a while


def export_quantized(job: Job, model: Opened, console: Console) -> Path:
    """Merge and quantize into the export's folder, which holds the whole result or is as it was. Returns it."""
    from tunesmith.export.quantize import find_quantizer, write_quantized

    asked = asked_quantization(job.export)
    assert asked is not None
    method, bits = asked
    calibrated = method in find_quantizer(method, bits).quantizer.calibrated
    calibration, held_out = _texts(job, model, console, calibrated)
    model.stages.begin(tr("merging"))
    with console.status(tr("merging")) as status:

        def report(words: str) -> None:
            status.update(words)
            model.stages.say(words)

        def written(done: int, total: int) -> None:
            status.update(f"{tr('merging')} {done / 1e9:.1f} / {total / 1e9:.1f} GB")
            model.stages.report(done, 2 * total)  # to quantize is the other half

        result = write_quantized(
            model.source, model.folder, method=method, bits=bits, calibration=calibration, held_out=held_out,
            device=job.export.export_device, trust_remote_code=job.model.trust_remote_code, report=report,
            written=written,
        )  # fmt: skip
    told = tr("quantized: {method}, {bits} bits, by {library} {version}; loss {before:.3f} → {after:.3f}")
    console.print(
        told.format(method=method, bits=bits, library=result.library, version=result.version,
                    before=result.reference_loss, after=result.loss),
        markup=False,
    )  # fmt: skip
    return model.folder


def _texts(job: Job, model: Opened, console: Console, calibrated: bool) -> tuple[list[np.ndarray], list[Row]]:
    """Samples to calibrate with, and others to measure on: one's own data, a text that was named, or our questions."""
    export, seed = job.export, job.training.seed
    count, length = export.export_quantization_nsamples, export.export_quantization_maxlen
    if calibrated and export.export_quantization_dataset:
        windows = _windows(job, model, count + _HELD_ROWS, length)
        apart = min(_HELD_ROWS, max(1, len(windows) // 4))
        shown = [ids[:_HELD_TOKENS] for ids in windows[:apart]]
        return (windows[apart:] or windows)[:count], [(ids, np.ones(len(ids), np.float32)) for ids in shown]
    try:
        train, evaluation = _own_data(job, model)
    except UserError as error:
        if calibrated:
            raise
        console.print(f"{tr('note')}  {tr('measured on a few questions of ours:')} {error}", markup=False)
        train = evaluation = None
    order = np.random.default_rng(seed).permutation(len(train) if train is not None else 0)
    held = _rows(evaluation, range(len(evaluation))) if evaluation is not None and len(evaluation) else []
    if not held and train is not None:
        apart = min(_HELD_ROWS, max(1, len(order) // 4))
        held, order = _rows(train, order[:apart]), order[apart:] if len(order) > apart else order
    calibration = [train.ids(int(i))[:length] for i in order[:count]] if train is not None else []
    return calibration, held or _questions(job, model)


def _own_data(job: Job, model: Opened) -> tuple[SampleStore | None, SampleStore | None]:
    """Training and evaluation data, tokenized as for training; None where there are none."""
    from tunesmith.data.prepare import prepare

    if not (job.data.dataset or job.data.eval_dataset or job.data.tokenized_path) or job.data.streaming:
        return None, None
    prepared = prepare(
        job.data, job.objective, model.tokenizer, model.template, seed=job.training.seed, cache_dir=cache_folder(),
        hub=job.model.hub_name,
    )  # fmt: skip
    train = prepared.train if prepared.train is not None and len(prepared.train) else None
    return train, next(iter(prepared.evals.values()), None)


def _rows(store: SampleStore, order: Sequence[int] | np.ndarray) -> list[Row]:
    """Rows in which something is trained within the first tokens: others measure nothing."""
    cut = ((store.ids(int(i))[:_HELD_TOKENS], store.weights(int(i))[:_HELD_TOKENS]) for i in order[:_HELD_ROWS])
    return [row for row in cut if np.asarray(row[1])[1:].any()]


def _windows(job: Job, model: Opened, count: int, length: int) -> list[np.ndarray]:
    """Up to `count` pieces of the named texts in random order, each of `length` tokens and begun like a document."""
    bos = np.array(model.tokenizer.document_frame[0], np.int32)
    inside = max(1, length - len(bos))
    pieces: list[np.ndarray] = []
    total = 0
    for text in _named_texts(job):
        pieces += model.tokenizer.encode([text + "\n"])
        total += len(pieces[-1])
        if total >= _SPREAD * count * inside:
            break
    if not total:
        raise UserError(
            f"{job.export.export_quantization_dataset} holds no text in its first column.",
            hint="Name a text file, or a data set whose first column is text.",
            field="export_quantization_dataset",
        )
    stream = np.concatenate(pieces)
    cut = [np.concatenate([bos, stream[at : at + inside]]) for at in range(0, len(stream), inside)]
    if len(cut) > 1 and len(cut[-1]) < length:
        cut.pop()
    order = np.random.default_rng(job.training.seed).permutation(len(cut))[:count]
    return [cut[int(i)] for i in order]


def _named_texts(job: Job) -> Iterator[str]:
    """The first column of what export_quantization_dataset names, which is a text file's only one."""
    from tunesmith.data.catalog import resolve
    from tunesmith.data.sources import locate, read_rows

    name = job.export.export_quantization_dataset or ""
    key, hub = "export_quantization_dataset", job.model.hub_name
    for entry in resolve(name, job.data.dataset_dir, key=key, hub=hub):
        for row in read_rows(locate(entry, cache_folder())):
            if isinstance(row.row, RowError):
                continue
            first: Any = next(iter(row.row.values()), None)
            if isinstance(first, str) and first.strip():
                yield first


def _questions(job: Job, model: Opened) -> list[Row]:
    """Where there is no data at all: the conversations that exports are compared with."""
    from tunesmith.export.verify import CONVERSATIONS
    from tunesmith.text.tokenizer import CutText

    rows = []
    for conversation in CONVERSATIONS:
        try:
            rendered = model.template.render(conversation, generation_prompt=True, thinking=job.data.enable_thinking)
        except RowError:
            continue
        ids, _ = model.tokenizer.encode_cut([CutText(rendered.text, (), rendered.literals)])
        rows.append((ids, np.ones(len(ids), np.float32)))
    return rows
