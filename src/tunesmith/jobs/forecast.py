"""What an export will write and take, told before it begins; what would fail at its end fails here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tunesmith.config import Job
from tunesmith.errors import UserError
from tunesmith.i18n import tr
from tunesmith.jobs import gguf
from tunesmith.jobs.ollama import check_server, plan_modelfile
from tunesmith.jobs.opened import Opened, size_text, targets
from tunesmith.jobs.quantized import asked_quantization, quantization_line

if TYPE_CHECKING:
    from rich.console import Console

_MEMORY = 600 << 20  # bytes of the process before any weight


def forecast(job: Job, model: Opened, console: Console) -> None:
    """Print what will be written, and the disk and memory it takes.

    UserError where those are not there, for texts that a Modelfile can't hold, for a server that does not answer and a
    hub that does not know the user.
    """
    from tunesmith.export.target import check_target

    check_target(model.folder)
    source = model.source
    console.print(" + ".join([source.repository or source.base, *map(str, source.adapters)]) + f" → {model.folder}")
    disk = gguf.scratch(job, model)
    if "safetensors" in targets(job):
        line, size = _weights_line(job, model)
        disk += size
        console.print(line, markup=False)
    files = gguf.sizes(job, model)
    for name, size in files:
        disk += size
        console.print(f"  {name}  {size_text(size)}", markup=False)
    if line := _replaced(job, model, [name for name, _ in files]):
        console.print(line, markup=False)
    memory = _MEMORY + 2 * max(source.largest, model.exact.largest)
    line = tr("  disk {disk}, memory {memory}").format(disk=size_text(disk), memory=size_text(memory))
    console.print(line, markup=False)
    existing = next(place for place in (model.folder, *model.folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(existing).free
    if free < disk:
        raise UserError(
            f"{model.folder} needs {size_text(disk)} and its disk has {size_text(free)} free.",
            hint="Free some space, or choose an export_dir on another disk.",
            field="export_dir",
        )
    for sentence in plan_modelfile(job, model, [name for name, _ in files])[1]:
        console.print(f"{tr('note')}  {sentence}", markup=False)
    if job.export.export_ollama:
        console.print(check_server(job, model), markup=False)
    if job.export.export_hub_model_id:
        from tunesmith.export.hub import check_hub

        console.print(f"  {check_hub(job.export.export_hub_model_id, job.model)}", markup=False)


def _replaced(job: Job, model: Opened, names: Sequence[str]) -> str:
    """What of an earlier export in the folder is written anew; empty where it holds none."""
    from tunesmith.export.target import earlier_files

    before = [path.name for path in earlier_files(model.folder) if path.suffix == ".gguf"]
    gone = [name for name in before if name in names]
    if "safetensors" in targets(job) and (model.folder / "config.json").is_file():
        gone.append("safetensors")
    stays = [name for name in before if name not in names]
    told = tr("  replaces {names} of an earlier export").format(names=", ".join(gone)) if gone else ""
    kept = tr("  keeps {names} of an earlier export").format(names=", ".join(stays)) if stays else ""
    return "\n".join(filter(None, (told, kept)))


def shard_bytes(job: Job) -> int:
    return int(job.export.export_size * 1e9)


def _weights_line(job: Job, model: Opened) -> tuple[str, int]:
    """What is told of the merged weights, and the bytes of disk they take."""
    from tunesmith.export.checkpoint import preflight

    legacy = job.export.export_legacy_format
    needs = preflight(model.source, model.folder, shard_bytes=shard_bytes(job), legacy=legacy)
    if asked_quantization(job.export):
        return quantization_line(job, model)
    form = "pytorch_model.bin" if legacy else "safetensors"
    return f"  {form}  {model.source.config.get('dtype')}  {size_text(model.source.nbytes)}", needs.disk
