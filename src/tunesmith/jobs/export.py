"""`export` and `verify`: from a job to files that others run, each held against the trained model."""

from __future__ import annotations

import shutil
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
from tunesmith.errors import UserError
from tunesmith.finding import Finding
from tunesmith.i18n import tr
from tunesmith.jobs.ollama import by_hand, deploy, write_modelfile
from tunesmith.jobs.opened import Opened, is_model, progress, terminal
from tunesmith.jobs.places import configuration_of
from tunesmith.jobs.process import settled_libraries
from tunesmith.jobs.quantized import asked_quantization, export_quantized, quantization_line
from tunesmith.runs.files import read_json, replace_json, replace_text

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.export.gguf.mixes import Mix
    from tunesmith.export.weights import Source

_REPEATS = "export.yaml"  # the configuration that repeats an export, beside what it wrote


@settled_libraries()
def preview(job: Job) -> int:
    """Tell what `export` would write, and what that takes."""
    job = _with_stored_base(job)
    console = terminal()
    with _opened(job, console) as model:
        for line in _plan_lines(job, model):
            console.print(line, markup=False)
    console.print(tr("Nothing was written."), style="dim")
    return 0


@settled_libraries()
def export(job: Job) -> int:
    """Write what the job asks for. Exit code 1 when a file does not answer as the trained model does."""
    job = _with_stored_base(job)
    console = terminal()
    with _opened(job, console) as model:
        for line in _plan_lines(job, model):
            console.print(line, markup=False)
        written = _write(job, model, console)
        modelfile = write_modelfile(job, model, written)
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
        return _verified(job, model, [*whole, *ggufs], console, asked=True)


@contextmanager
def _opened(job: Job, console: Console) -> Iterator[Opened]:
    """The model planned, in a folder of its own for what lies beside the weights."""
    import torch

    from tunesmith.export.companions import write_companions
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
        write_companions(source, folder)
        tokenizer = Tokenizer.load(folder)
        chosen = template_for(job.data, tokenizer)
        if not chosen.agrees:
            text = chosen.template.portable(thinking=job.data.enable_thinking)
            (folder / "chat_template.jinja").write_text(text, encoding="utf-8", newline="\n")
            settings = read_json(folder / "tokenizer_config.json")
            if settings is not None:
                replace_json(folder / "tokenizer_config.json", {**settings, "chat_template": text})
        target = Path(job.export.export_dir or Path("exports") / located.name)
        name = short_model_name(job.export.export_ollama or target.name)
        exact = text_part(opening(dtype=torch.float32)) if _mixes(job) else source
        for note in dict.fromkeys((*source.notes, *exact.notes)):
            console.print(f"{tr('note')}  {note}", markup=False)
        reach = _stretched(job, vocabulary.folder)
        source, exact = (
            replace(each, folder=folder, template_settled=True, config={**each.config, **reach})
            for each in (source, exact)
        )
        yield Opened(source, exact, tokenizer, chosen.template, name, target)


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

    return replace(job, model=replace(job.model, model_name_or_path=str(stored_model(asked).path)))


def _dtype(job: Job) -> Any:
    import torch

    return None if job.export.export_dtype == "auto" else getattr(torch, job.export.export_dtype)


def _targets(job: Job) -> tuple[str, ...]:
    """What is written: what was asked for, or what the other keys ask for."""
    asked = job.export
    return asked.export_to or (("gguf",) if asked.export_quant or asked.export_ollama else ("safetensors",))


def _mixes(job: Job) -> list[Mix]:
    from tunesmith.export.gguf.mixes import resolve

    if "gguf" not in _targets(job):
        return []
    names = job.export.export_quant or (("q4_k_m",) if job.export.export_ollama else ("f16",))
    mixes = list(dict.fromkeys(resolve(name) for name in names))
    for mix in mixes:
        if mix.needs_importance and not job.export.export_importance_data:
            raise UserError(
                f"{mix.name} is of no use without an importance matrix.",
                hint="Set export_importance_data=text.txt, a text of the kind the model is for; or take q2_k.",
                field="export_quant",
            )
    return mixes


def _facts(source: Source) -> Any:
    from tunesmith.export.gguf.mixes import Facts

    config = source.config
    heads = int(config.get("num_attention_heads") or 0)
    experts = config.get("num_experts") or config.get("num_local_experts") or 0
    return Facts(int(config["num_hidden_layers"]), heads, int(config.get("num_key_value_heads") or heads), int(experts))


def _gguf_tensors(source: Source) -> list[tuple[str, tuple[int, ...]]]:
    from tunesmith.export.gguf.writer import plan

    return [(tensor.name, tensor.shape) for tensor in plan(source)]


def _plan_lines(job: Job, model: Opened) -> list[str]:
    """What will be written, and the disk and memory it takes. UserError where that is not there."""
    from tunesmith.export.checkpoint import preflight
    from tunesmith.export.target import check_target

    check_target(model.folder)
    source, weighted = model.source, job.export.export_importance_data is not None
    lines = [" + ".join([source.repository or source.base, *map(str, source.adapters)]) + f" → {model.folder}"]
    disk = 0
    if "safetensors" in _targets(job):
        needs = preflight(source, model.folder, shard_bytes=_shard_bytes(job), legacy=job.export.export_legacy_format)
        line, size = f"  safetensors  {source.config.get('dtype')}  {source.nbytes / 1e9:.2f} GB", needs.disk
        if asked_quantization(job.export):
            line, size = quantization_line(job, model)
        disk += size
        lines.append(line)
    for mix in _mixes(job):
        size = mix.nbytes(_gguf_tensors(model.exact), _facts(model.exact), importance=weighted)
        disk += size
        lines.append(f"  {_gguf_name(model, mix)}  {size / 1e9:.2f} GB")
    memory = (600 << 20) + 2 * max(source.largest, model.exact.largest)
    lines.append(tr("  disk {disk:.2f} GB, memory {memory:.1f} GB").format(disk=disk / 1e9, memory=memory / 1e9))
    existing = next(place for place in (model.folder, *model.folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(existing).free
    if free < disk:
        raise UserError(
            f"{model.folder} needs {disk / 1e9:.1f} GB and its disk has {free / 1e9:.1f} GB free.",
            hint="Free some space, or choose an export_dir on another disk.",
            field="export_dir",
        )
    return lines


def _shard_bytes(job: Job) -> int:
    return int(job.export.export_size * 1e9)


def _gguf_name(model: Opened, mix: Mix) -> str:
    return f"{model.name}-{mix.name}.gguf"


def _write(job: Job, model: Opened, console: Console) -> list[Path]:
    """The exported folder and files, in the order asked for."""
    from tunesmith.export.checkpoint import write_checkpoint
    from tunesmith.export.target import mark

    written: list[Path] = []
    if "safetensors" in _targets(job) and asked_quantization(job.export):
        written.append(export_quantized(job, model, console))
    elif "safetensors" in _targets(job):
        with progress(console, tr("writing safetensors")) as report:
            write_checkpoint(
                model.source, model.folder,
                shard_bytes=_shard_bytes(job), legacy=job.export.export_legacy_format, report=report,
            )  # fmt: skip
        written.append(model.folder)
    if not written:  # safetensors come with a mark of their own, which may tell more
        mark(model.folder, model.source)
    replace_text(model.folder / _REPEATS, dump_yaml(job))
    written += _write_gguf(job, model, console)
    if "gguf-adapter" in _targets(job):
        written.append(_write_adapter(job, model))
    return written


def _write_gguf(job: Job, model: Opened, console: Console) -> list[Path]:
    from tunesmith.export.gguf.writer import write_gguf

    mixes = _mixes(job)
    if not mixes:
        return []
    importance = _importance(job, model, console)
    tensors, facts = _gguf_tensors(model.exact), _facts(model.exact)
    written = []
    for mix in mixes:
        path = model.folder / _gguf_name(model, mix)
        with progress(console, tr("writing {name}").format(name=path.name)) as report:
            write_gguf(
                model.exact, path,
                kinds=mix.kinds(tensors, facts, importance=bool(importance)), quantize=partial(_quantize, _device(job)),
                file_type=mix.file_type, report=report, importance=importance, name=model.name, pre=job.export.gguf_pre,
            )  # fmt: skip
        written.append(path)
    return written


def _quantize(device: str, rows: Any, kind: Any, importance: Any = None) -> Any:
    from tunesmith.export.gguf.quants import quantize

    return quantize(rows.to(device), kind, importance).cpu().numpy()


def _device(job: Job) -> str:
    import torch

    return "cuda" if job.export.export_device == "auto" and torch.cuda.is_available() else "cpu"


def _importance(job: Job, model: Opened, console: Console) -> dict[str, Any]:
    if not job.export.export_importance_data:
        return {}
    from tunesmith.export.gguf.importance import importance_matrix
    from tunesmith.inference.load import load_engine

    engine = load_engine(job, note=lambda sentence: None)
    text = Path(job.export.export_importance_data)
    if not text.is_file():
        raise UserError(f"There is no file {text}.", hint="Give a text file.", field="export_importance_data")
    ids = model.tokenizer.encode([text.read_text(encoding="utf-8")])[0]
    with progress(console, tr("measuring which weights matter")) as report:
        return importance_matrix(engine.model, ids, model.source.config, report=report)


def _write_adapter(job: Job, model: Opened) -> Path:
    from tunesmith.export.gguf.adapter import write_adapter

    if len(model.source.adapters) != 1:
        raise UserError(
            f"A GGUF adapter is made of one adapter; there are {len(model.source.adapters)}.",
            hint="Name one as adapter_name_or_path, or export the merged model: --to gguf.",
            field="adapter_name_or_path",
        )
    path = model.folder / f"{model.name}-lora.gguf"
    write_adapter(model.source.adapters[0], model.source.config, path, name=model.name)
    return path


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
        console.print(f"{tr('not verified')}  {error}", markup=False)
        return []
    if found:
        console.print(quality_table(found))
        save_quality(found, model.folder)
    if len(found) > 1 and model.folder.is_dir():
        plot_quality(found, model.folder / "quality.png")
    findings = [*(quality.verdict for quality in found), *broken]
    for finding in findings if not asked else ():
        if finding.status != "pass":
            console.print(f"{finding.status}  {finding.what}  {finding.detail}  → {finding.fix}", markup=False)
    return findings


def _is_quantized(place: Path) -> bool:
    return "quantization_config" in (read_json(place / "config.json") or {})


def _card(job: Job, model: Opened, written: Sequence[Path]) -> None:
    from tunesmith.export.card import write_card

    files = [path for path in written if path.is_file()]
    write_card(model.folder, model.name, model.source, files, data=job.data.dataset)


def _closing_words(job: Job, model: Opened, written: Sequence[Path], console: Console) -> None:
    console.print(tr("Exported: {folder}").format(folder=model.folder), markup=False)
    for path in written:
        if path.is_file():
            console.print(f"  {path.name}  {path.stat().st_size / 1e6:,.0f} MB", markup=False)
    if (model.folder / "Modelfile").is_file() and not job.export.export_ollama:
        console.print(f"  {tr('into Ollama:')}  {by_hand(model, model.name)}", markup=False)
    models = [path for path in written if is_model(path)]
    if models:
        console.print(f"  {tr('talk to it:')}  tunesmith chat {models[-1]}", markup=False)
