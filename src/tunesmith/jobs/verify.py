"""Exported files held against the trained model: one of the two is in memory at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tunesmith.config import Job
from tunesmith.config.places import cache_folder
from tunesmith.errors import UserError
from tunesmith.finding import Finding
from tunesmith.i18n import tr
from tunesmith.jobs.opened import Opened, size_text

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.export.verify import Case, Quality
    from tunesmith.inference.engine import ChatEngine

Rows = Sequence[tuple[Any, Any]]
"""int32 ids [T] and float32 weights [T] of samples."""

_SHORT = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_HELD_ROWS, _HELD_TOKENS = 24, 512
_CONTEXT = 1024  # tokens; what is asked is short


def compare_files(
    job: Job, files: Sequence[Path], model: Opened, console: Console
) -> tuple[list[Quality], list[Finding]]:
    """How each GGUF file or merged folder compares with the job's model, and which of them can't even be loaded.

    UserError where nothing can be measured.
    """
    from tunesmith.models.gguf.runtime import is_installed

    if any(file.is_file() for file in files) and not is_installed():
        raise UserError(
            "The llama.cpp runtime is not installed, which GGUF files are asked in.",
            hint='pip install "tunesmith[llamacpp]", then: tunesmith verify EXPORTED',
        )
    job = _in_memory(job)
    rows = held_out(job, model, console)
    model.stages.begin(tr("asking the trained model"))
    with console.status(tr("asking the trained model")):
        cases, reference = _asked(job, model, rows)
    found, broken = [], []
    for file in files:
        asking = tr("asking {name}").format(name=file.name)
        model.stages.begin(asking)
        with console.status(asking):
            try:
                asked = _gguf(job, file, cases, model.bos) if file.is_file() else _folder(job, file, cases)
                loss = _loss(job, file, rows)
            except UserError as error:
                broken.append(Finding("fail", file.name, error.message, error.hint))
                continue
        found.append(replace(asked, loss=loss, reference_loss=reference))
    return found, broken


def _in_memory(job: Job) -> Job:
    """Compared in float32 where the memory allows, so that what differs is the file's doing. UserError where it does
    not hold the model at all: a merge must not end in a killed process."""
    from tunesmith.models.locate import locate
    from tunesmith.models.shards import weight_files

    path = locate(job.model).path
    size = path.stat().st_size * 4 if path.is_file() else sum(each.stat().st_size for each in weight_files(path))
    free = psutil.virtual_memory().available
    if size > 0.8 * free:
        raise UserError(
            f"Comparing needs {size_text(size)} of memory, and {size_text(free)} are free.",
            hint="The files are whole. On a larger machine: tunesmith verify EXPORTED",
        )
    if 2.5 * size > free:
        return job
    return replace(job, model=replace(job.model, infer_dtype="float32"), training=replace(job.training, use_cpu=True))


def _asked(job: Job, model: Opened, rows: Rows) -> tuple[list[Case], float | None]:
    from tunesmith.export.verify import ask_trained, held_out_loss
    from tunesmith.inference.load import load_engine

    engine = load_engine(job, note=lambda sentence: None)
    ends = sorted(engine.ends.ids)
    cases = ask_trained(engine.model, model.tokenizer, model.template, thinking=job.data.enable_thinking, ends=ends)
    return cases, held_out_loss(engine.model, rows)


def _gguf(job: Job, file: Path, cases: list[Case], bos: str) -> Quality:
    from tunesmith.export.verify import Quality, compare
    from tunesmith.models.gguf.file import open_gguf
    from tunesmith.models.gguf.runtime import running

    header = open_gguf(file)  # a file that is cut short is named so here; llama.cpp's words for it are its own
    with running(file, context=_CONTEXT) as runtime:
        numbers = compare(runtime, cases, bos=bos, thinking=job.data.enable_thinking)
    kind = _kind_name(header.metadata.get("general.file_type"))
    return Quality(file, kind, file.stat().st_size, len(cases), *numbers)


def _folder(job: Job, folder: Path, cases: list[Case]) -> Quality:
    from tunesmith.export.verify import Quality, compare_model
    from tunesmith.models.shards import weight_files

    engine = _engine_of(job, folder)
    render = partial(engine.template.render, generation_prompt=True, thinking=job.data.enable_thinking)
    prompts = sum(render(case.conversation).text == case.prompt for case in cases)
    ids = sum(tuple(engine.prompt(case.conversation).tolist()) == case.ids for case in cases)
    numbers = compare_model(engine.model, cases)
    kind = _SHORT.get(str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("dtype")), "")
    size = sum(each.stat().st_size for each in weight_files(folder))
    return Quality(folder, kind, size, len(cases), prompts, ids, *numbers)


def _loss(job: Job, place: Path, rows: Rows) -> float | None:
    """On the exported weights themselves, as they read back; None where they don't: llama.cpp alone knows them."""
    from tunesmith.export.verify import held_out_loss
    from tunesmith.models.gguf.architecture import is_readable
    from tunesmith.models.gguf.file import open_gguf

    if not rows or (place.is_file() and not is_readable(open_gguf(place))):
        return None
    return held_out_loss(_engine_of(job, place).model, rows)


def _engine_of(job: Job, place: Path) -> ChatEngine:
    """The exported model alone."""
    from tunesmith.inference.load import load_engine

    # What the run stretched or named has to be in the exported files themselves.
    model = replace(job.model, model_name_or_path=str(place), rope_scaling=None)
    data = replace(job.data, template=None, default_system=None)
    alone = replace(job, model=model, data=data, adapter=replace(job.adapter, adapter_name_or_path=()))
    return load_engine(alone, note=lambda sentence: None)


def _kind_name(number: int | None) -> str:
    from gguf import LlamaFileType

    return "" if number is None else LlamaFileType(number).name.removeprefix("MOSTLY_").removeprefix("ALL_")


def held_out(job: Job, model: Opened, console: Console) -> Rows:
    """Rows that were held back from training, or of the training data where none were; none where there is no data."""
    from tunesmith.data.prepare import prepare

    if not (job.data.dataset or job.data.eval_dataset) or job.data.streaming:
        return []
    try:
        prepared = prepare(
            job.data, job.objective, model.tokenizer, model.template, seed=job.training.seed, cache_dir=cache_folder(),
            hub=job.model.hub_name, report=lambda done, total: None,
        )  # fmt: skip
    except UserError as error:
        console.print(f"{tr('note')}  {tr('no loss is compared:')} {error}", markup=False)
        return []
    store = next(iter(prepared.evals.values()), None) or prepared.train
    count = min(_HELD_ROWS, len(store)) if store is not None else 0
    return [(store.ids(i)[:_HELD_TOKENS], store.weights(i)[:_HELD_TOKENS]) for i in range(count)] if store else []
