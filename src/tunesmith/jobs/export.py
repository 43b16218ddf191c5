"""`export` and `verify`: from a job to files that others run, each held against the trained model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.config import Job
from tunesmith.config.job import short_model_name
from tunesmith.config.load import dump_yaml, load_job
from tunesmith.config.places import cache_folder
from tunesmith.config.shell import quoted
from tunesmith.errors import UserError
from tunesmith.finding import Finding
from tunesmith.i18n import told, tr, translated
from tunesmith.jobs import gguf
from tunesmith.jobs.forecast import forecast, shard_bytes
from tunesmith.jobs.gguf import write_gguf_adapter, write_ggufs
from tunesmith.jobs.ollama import by_hand, deploy, write_modelfile
from tunesmith.jobs.opened import Opened, is_model, progress, size_text, targets, terminal
from tunesmith.jobs.places import configuration_of
from tunesmith.jobs.process import settled_libraries
from tunesmith.jobs.quantized import asked_quantization, export_quantized
from tunesmith.jobs.stages import Stages
from tunesmith.runs.files import read_json, replace_text

if TYPE_CHECKING:
    from rich.console import Console


QUALITY = "quality.png"
_REPEATS = "export.yaml"  # the configuration that repeats an export, beside what it wrote


@settled_libraries()
def preview(job: Job) -> int:
    """Tell what `export` would write, and what that takes."""
    from tunesmith.models.gguf.file import headers_kept

    job = _with_stored_base(job)
    console = terminal()
    with headers_kept(), _opened(job, console) as model:
        forecast(job, model, console)
    console.print(tr("Nothing was written."), style="dim")
    return 0


@settled_libraries()
def export(job: Job) -> int:
    """Write what the job asks for. Exit code 1 when a file does not answer as the trained model does."""
    from tunesmith.export.report import save_quality
    from tunesmith.export.target import earlier_files, remember_files

    job = _with_stored_base(job)
    console = terminal()
    with _opened(job, console) as model:
        model.stages.expect(_parts(job, model))
        forecast(job, model, console)
        before = earlier_files(model.folder)
        written = _write(job, model, console)
        save_quality([], model.folder, written=written)  # what was told of the files before
        modelfile = write_modelfile(job, model, written)
        remember_files(
            model.folder, [*(path.name for path in written if path.is_file()), "Modelfile", QUALITY, "quality.json"]
        )
        _card(job, model, written)
        findings = _verified(job, model, written, console)
        failed = any(finding.status == "fail" for finding in findings)
        if failed and (job.export.export_ollama or job.export.export_hub_model_id):
            console.print(tr("It goes nowhere from here, since it does not answer as it was trained."))
        if job.export.export_ollama and modelfile is not None and not failed:
            findings += deploy(job, model, modelfile, console)
        if job.export.export_hub_model_id and not failed:
            from tunesmith.export.hub import push

            url = push(model.folder, job.export.export_hub_model_id, job.model)
            console.print(tr("On the hub: {url}").format(url=url))
        _tell_stale(model, [path for path in before if path not in written and path.suffix == ".gguf"], console)
    _closing_words(job, model, written, console)
    return 1 if any(finding.status == "fail" for finding in findings) else 0


@settled_libraries()
def verify(place: Path, *, run: str | None = None) -> list[Finding]:
    """How an exported folder or file compares with the model it came from. run: that model, where nothing tells."""
    home = place if place.is_dir() else place.parent
    if not place.exists():
        raise UserError(f"There is no folder or file {place}.", hint="Name what `tunesmith export` wrote.")
    if run is None and not (home / _REPEATS).is_file():
        raise UserError(
            f"{place} does not say which model it came from.", hint="Name it: tunesmith verify EXPORTED --run RUN"
        )
    files, keys = configuration_of(run) if run else ([home / _REPEATS], {})
    job = _with_stored_base(load_job(files, {**keys, "export_dir": str(home)}, verb="export").job)
    ggufs = sorted(place.glob("*.gguf")) if place.is_dir() else [place]
    whole = [place] if (place / "config.json").is_file() else []
    console = terminal()
    with _opened(job, console) as model:
        model.stages.expect(1 + len(whole) + len(ggufs))
        return _verified(job, model, [*whole, *ggufs], console, asked=True)


@contextmanager
def _opened(job: Job, console: Console) -> Iterator[Opened]:
    """The model planned, in a folder of its own for what lies beside the weights."""
    stages = Stages(tr("reading the model"))  # most of which is to load libraries
    import torch

    from tunesmith.export.companions import lay_out, settle_ends, use_template
    from tunesmith.export.gguf.metadata import text_part
    from tunesmith.export.merge import open_source
    from tunesmith.models.adapter_files import locate_adapter
    from tunesmith.models.locate import locate
    from tunesmith.models.vocabulary import prepare_vocabulary
    from tunesmith.text.template import template_for
    from tunesmith.text.tokenizer import Tokenizer

    located = locate(job.model)
    adapters = [locate_adapter(asked, job.adapter, job.model) for asked in job.adapter.adapter_name_or_path]
    vocabulary = prepare_vocabulary(job.model, located, cache_folder())
    trust = job.model.trust_remote_code
    opening = partial(open_source, located, vocabulary.folder, adapters, trust_remote_code=trust)
    source = opening(dtype=_dtype(job))
    with tempfile.TemporaryDirectory(prefix="tunesmith-export-") as beside:
        folder = Path(beside)
        lay_out(source, folder)
        tokenizer = Tokenizer.load(folder)
        chosen = template_for(job.data, tokenizer)
        if not chosen.agrees:
            use_template(folder, chosen.template.portable(thinking=job.data.enable_thinking))
        ends = settle_ends(source, folder, tokenizer if chosen.agrees else Tokenizer.load(folder))
        target = Path(job.export.export_dir or Path("exports") / located.name)
        name = short_model_name(job.export.export_ollama or target.name)
        exact = text_part(opening(dtype=torch.float32)) if gguf.mixes(job) else source
        for note in dict.fromkeys((*source.notes, *exact.notes)):
            console.print(f"{tr('note')}  {translated(note)}", markup=False)
        reach = _stretched(job, vocabulary.folder)
        source, exact = (
            replace(each, folder=folder, settled=True, config={**each.config, **ends, **reach})
            for each in (source, exact)
        )
        yield Opened(source, exact, tokenizer, chosen.template, name, target, stages)


def _parts(job: Job, model: Opened) -> int:
    """How many stages an export has after reading: files are written, then each that answers is asked."""
    whole = "safetensors" in targets(job)
    asked = (whole and asked_quantization(job.export) is None) + len(gguf.mixes(job))
    verified = 1 + asked if asked and job.export.export_verify else 0
    return whole + gguf.stages(job, model) + verified + bool(job.export.export_ollama)


def _stretched(job: Job, folder: Path) -> dict[str, Any]:
    """What `rope_scaling` changed in the model's configuration for its training."""
    if not job.model.rope_scaling:
        return {}
    from tunesmith.models.load import load_config
    from tunesmith.models.rope_scaling import stretch_positions

    before = load_config(folder, job.model)
    after = stretch_positions(before, job.model.rope_scaling, job.data.cutoff_len)[0]
    known = before.to_dict()
    return {key: value for key, value in after.to_dict().items() if known.get(key) != value}


def _with_stored_base(job: Job) -> Job:
    """`ollama:NAME` read out of Ollama's own store."""
    asked = job.model.model_name_or_path
    if not asked.startswith("ollama:"):
        return job
    from tunesmith.export.ollama_store import stored_model

    stored = stored_model(asked)
    folder = Path("exports") / stored.name.rpartition("/")[2].removesuffix(":latest").replace(":", "-")
    export = replace(
        job.export,
        export_dir=job.export.export_dir or str(folder),
        export_ollama_base=job.export.export_ollama_base or stored.name,
    )
    return replace(job, model=replace(job.model, model_name_or_path=str(stored.path)), export=export)


def _dtype(job: Job) -> Any:
    import torch

    return None if job.export.export_dtype == "auto" else getattr(torch, job.export.export_dtype)


def _write(job: Job, model: Opened, console: Console) -> list[Path]:
    """The exported folder and files, in the order asked for."""
    from tunesmith.export.checkpoint import write_checkpoint
    from tunesmith.export.target import mark

    written: list[Path] = []
    if "safetensors" in targets(job) and asked_quantization(job.export):
        written.append(export_quantized(job, model, console))
    elif "safetensors" in targets(job):
        with progress(console, model.stages, tr("writing safetensors")) as report:
            write_checkpoint(
                model.source, model.folder,
                shard_bytes=shard_bytes(job), legacy=job.export.export_legacy_format, report=report,
            )  # fmt: skip
        written.append(model.folder)
    if not written:  # safetensors come with a mark of their own, which may tell more
        mark(model.folder, model.source)
    replace_text(model.folder / _REPEATS, dump_yaml(_anywhere(job)))
    written += write_ggufs(job, model, console)
    if "gguf-adapter" in targets(job):
        written.append(write_gguf_adapter(model))
    return written


def _anywhere(job: Job) -> Job:
    """The job with its files named so that they are found from any folder."""

    def found(place: str | None) -> str | None:
        path = Path(place or "").expanduser()
        return str(path.absolute()) if place and path.exists() else place

    def all_found(places: Sequence[str]) -> tuple[str, ...]:
        return tuple(found(place) or place for place in places)

    dataset_dir = found(job.data.dataset_dir) or job.data.dataset_dir
    return replace(
        job,
        model=replace(job.model, model_name_or_path=found(job.model.model_name_or_path) or ""),
        adapter=replace(job.adapter, adapter_name_or_path=all_found(job.adapter.adapter_name_or_path)),
        data=replace(
            job.data, dataset=all_found(job.data.dataset), eval_dataset=all_found(job.data.eval_dataset),
            dataset_dir=dataset_dir, tokenized_path=found(job.data.tokenized_path),
        ),
        export=replace(
            job.export, export_dir=found(job.export.export_dir) or "",
            export_importance_data=found(job.export.export_importance_data),
            export_quantization_dataset=found(job.export.export_quantization_dataset),
        ),
    )  # fmt: skip


def _verified(
    job: Job, model: Opened, written: Sequence[Path], console: Console, *, asked: bool = False
) -> list[Finding]:
    """A table of the files beside the trained model, and a verdict for each."""
    from tunesmith.export.report import plot_quality, quality_table, save_quality
    from tunesmith.jobs.verify import compare_files

    files = [path for path in written if is_model(path)]
    files = [path for path in files if not _is_quantized(path)]  # its own library has measured it
    if asked and not files:
        raise UserError(f"{model.folder} holds no model to compare.", hint="Name what `tunesmith export` wrote.")
    if not files or not (asked or job.export.export_verify):
        return []
    try:
        found, broken = compare_files(job, files, model, console)
    except UserError as error:
        if asked:
            raise
        console.print(f"{tr('not verified')}  {told(error)}", markup=False)
        return []
    if found:
        console.print(quality_table(found))
    save_quality(found, model.folder, written=files)
    if model.folder.is_dir() and not asked:
        (model.folder / QUALITY).unlink(missing_ok=True)  # an earlier export's, of other files
    if len(found) > 1 and model.folder.is_dir():
        plot_quality(found, model.folder / QUALITY)
    findings = [*(quality.verdict for quality in found), *broken]
    for finding in findings if not asked else ():
        if finding.status != "pass":
            said = f"{translated(finding.detail)}  → {translated(finding.fix)}"
            console.print(f"{finding.status}  {finding.what}  {said}", markup=False)
    return findings


def _is_quantized(place: Path) -> bool:
    return "quantization_config" in (read_json(place / "config.json") or {})


def _card(job: Job, model: Opened, written: Sequence[Path]) -> None:
    from tunesmith.export.card import write_card

    files = [path for path in written if path.is_file()]
    write_card(model.folder, model.name, model.source, files, data=job.data.dataset)


def _tell_stale(model: Opened, stale: Sequence[Path], console: Console) -> None:
    """GGUF files of an earlier export stay, and may be of other weights."""
    if stale:
        told = tr("Also in {folder}, of an earlier export: {names}. Remove what is of no use any more.")
        names = ", ".join(path.name for path in stale)
        console.print(f"{tr('note')}  {told.format(folder=model.folder, names=names)}", markup=False)


def _closing_words(job: Job, model: Opened, written: Sequence[Path], console: Console) -> None:
    console.print(tr("Exported: {folder}").format(folder=model.folder), markup=False)
    for path in written:
        if path.is_file():
            console.print(f"  {path.name}  {size_text(path.stat().st_size)}", markup=False)
    models = [path for path in written if is_model(path)]
    if any(path.is_file() for path in models) and not job.export.export_ollama:
        console.print(f"  {tr('into Ollama:')}  {by_hand(model, model.name)}", markup=False)
    if models:
        console.print(f"  {tr('talk to it:')}  tunesmith chat {quoted(models[-1])}", markup=False)
    elif not job.export.export_ollama:
        console.print(f"  {tr('use it:')}  llama-server -m BASE.gguf --lora {quoted(written[-1])}", markup=False)
        again = f"tunesmith export … --to gguf-adapter --ollama {model.name} --ollama-base BASE"
        console.print(f"  {tr('into Ollama, on a base that it has:')}  {again}", markup=False)
