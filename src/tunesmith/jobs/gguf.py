"""The GGUF files of an export: which there will be, how large, and writing them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.config import Job
from tunesmith.errors import UserError
from tunesmith.i18n import tr
from tunesmith.jobs.opened import Opened, progress, targets

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.export.gguf.mixes import Facts, Mix
    from tunesmith.export.weights import Source

FIELD = "adapter_name_or_path"


def mixes(job: Job) -> list[Mix]:
    """The quantizations that are asked for. UserError for a name that is none, or one of no use as it is asked for."""
    from tunesmith.export.gguf.mixes import resolve

    if "gguf" not in targets(job):
        return []
    names = job.export.export_quant or (("q4_k_m",) if job.export.export_ollama else ("f16",))
    found = list(dict.fromkeys(resolve(name) for name in names))
    for mix in found:
        if mix.needs_importance and not job.export.export_importance_data:
            raise UserError(
                f"{mix.name} is of no use without an importance matrix.",
                hint="Set export_importance_data=text.txt, a text of the kind the model is for; or take q2_k.",
                field="export_quant",
            )
    return found


def file_name(model: Opened, mix: Mix) -> str:
    return f"{model.name}-{mix.name}.gguf"


def adapter_name(model: Opened) -> str:
    return f"{model.name}-lora.gguf"


def sizes(job: Job, model: Opened) -> list[tuple[str, int]]:
    """Name and bytes of every GGUF file that will be written. UserError for what can't be."""
    weighted = job.export.export_importance_data is not None
    asked = mixes(job)
    if weighted and asked and not Path(job.export.export_importance_data or "").is_file():
        raise UserError(
            f"There is no file {job.export.export_importance_data}.",
            hint="Give a text file.",
            field="export_importance_data",
        )
    if asked and _converter(model) is not None:
        from tunesmith.export.gguf.converter import estimated_bytes

        if weighted:
            raise UserError(
                "An importance matrix is measured for architectures that have a GGUF table here, and this has none.",
                hint="Leave export_importance_data out.",
                field="export_importance_data",
            )
        found = list(zip(asked, estimated_bytes(asked, model.source), strict=True))
    elif asked:
        from tunesmith.export.gguf.writer import check_expressible

        if "safetensors" in targets(job):  # else it is found at once, before anything is written
            check_expressible(model.exact, job.export.gguf_pre)
        tensors, facts = _tensors(model.exact), _facts(model.exact)
        found = [(mix, mix.nbytes(tensors, facts, importance=weighted)) for mix in asked]
    else:
        found = []
    adapter = [(adapter_name(model), _adapter_bytes(model))] if "gguf-adapter" in targets(job) else []
    return [(file_name(model, mix), size) for mix, size in found] + adapter


def stages(job: Job, model: Opened) -> int:
    """How many stages writing them has."""
    asked = mixes(job)
    if not asked or _converter(model) is not None:
        return int(bool(asked))
    return len(asked) + bool(job.export.export_importance_data)


def scratch(job: Job, model: Opened) -> int:
    """Bytes that lie beside the export for a while: what llama.cpp's converter takes and makes."""
    return 2 * model.source.nbytes if mixes(job) and _converter(model) is not None else 0


def _adapter_bytes(model: Opened) -> int:
    from tunesmith.export.gguf.adapter import check_adapter

    return check_adapter(_only_adapter(model), model.source.config)


def _only_adapter(model: Opened) -> Path:
    if len(model.source.adapters) != 1:
        raise UserError(
            f"A GGUF adapter is made of one adapter; there are {len(model.source.adapters)}.",
            hint="Name one as adapter_name_or_path, or export the merged model: --to gguf.",
            field=FIELD,
        )
    return model.source.adapters[0]


def _converter(model: Opened) -> Path | None:
    """llama.cpp's converter where it is needed and there; None where there is a table, or no converter either."""
    from tunesmith.export.gguf.converter import find_converter
    from tunesmith.models.gguf.architecture import has_table

    return None if has_table(str(model.exact.config.get("model_type"))) else find_converter()


def _tensors(source: Source) -> list[tuple[str, tuple[int, ...]]]:
    from tunesmith.export.gguf.writer import plan

    return [(tensor.name, tensor.shape) for tensor in plan(source)]


def _facts(source: Source) -> Facts:
    """What mixes ask of a model, by its configuration with every default filled in."""
    from tunesmith.export.gguf.metadata import settle, text_config
    from tunesmith.export.gguf.mixes import Facts

    config = settle(text_config(source.config))
    heads = int(config["num_attention_heads"])
    experts = config.get("num_experts") or config.get("num_local_experts") or 0
    return Facts(int(config["num_hidden_layers"]), heads, int(config.get("num_key_value_heads") or heads), int(experts))


def write_ggufs(job: Job, model: Opened, console: Console) -> list[Path]:
    """The files, in the order asked for."""
    asked = mixes(job)
    if not asked:
        return []
    script = _converter(model)
    if script is not None:
        return _by_converter(job, model, console, script)
    from tunesmith.export.gguf.writer import write_gguf

    importance = _importance(job, model, console)
    tensors, facts = _tensors(model.exact), _facts(model.exact)
    written = []
    for mix in asked:
        path = model.folder / file_name(model, mix)
        with progress(console, model.stages, tr("writing {name}").format(name=path.name)) as report:
            write_gguf(
                model.exact, path,
                kinds=mix.kinds(tensors, facts, importance=bool(importance)), quantize=partial(_quantize, _device(job)),
                file_type=mix.file_type, report=report, importance=importance, name=model.name, pre=job.export.gguf_pre,
            )  # fmt: skip
        written.append(path)
    return written


def _by_converter(job: Job, model: Opened, console: Console, script: Path) -> list[Path]:
    from tunesmith.export.gguf.converter import converted, requantize

    told = tr("There is no GGUF table for {kind} models here: llama.cpp's converter makes the file ({script}).")
    console.print(told.format(kind=model.exact.config.get("model_type"), script=script), markup=False)
    written = []
    with (
        progress(console, model.stages, tr("merging for the converter")) as report,
        converted(model.source, model.folder, script, name=model.name, report=report) as whole,
    ):
        for mix in mixes(job):
            path = model.folder / file_name(model, mix)
            requantize(whole, path, mix, quantize=partial(_quantize, _device(job)), report=report)
            written.append(path)
    return written


def write_gguf_adapter(model: Opened) -> Path:
    from tunesmith.export.gguf.adapter import write_adapter

    path = model.folder / adapter_name(model)
    write_adapter(_only_adapter(model), model.source.config, path, name=model.name)
    return path


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
    text = Path(job.export.export_importance_data).read_text(encoding="utf-8")
    ids = model.tokenizer.encode([text])[0]
    with progress(console, model.stages, tr("measuring which weights matter")) as report:
        return importance_matrix(engine.model, ids, model.source.config, report=report)
