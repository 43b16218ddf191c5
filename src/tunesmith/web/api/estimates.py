"""How much memory a training would take, by parts."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from typing import Annotated, Any

from pydantic import BaseModel, Field

from tunesmith.config import Job
from tunesmith.data.catalog import resolve
from tunesmith.data.sources import files_at
from tunesmith.errors import UserError
from tunesmith.web import forms
from tunesmith.web.access import Listening, TheStudio, router_of
from tunesmith.web.devices import CPU
from tunesmith.web.language import Told
from tunesmith.web.studio import Studio

router = router_of("estimates")
_KEPT = 64
# Only what decides the estimate asks anew.
_KEYS = (
    "model_name_or_path", "hub_name", "model_revision", "cache_dir", "add_tokens", "add_special_tokens", "resize_vocab",
    "trust_remote_code", "quantization_bit", "quantization_type", "double_quantization", "gradient_checkpointing",
    "train_from_scratch", "finetuning_type", "lora_rank", "lora_target", "additional_target", "use_dora",
    "freeze_trainable_layers", "freeze_trainable_modules", "freeze_extra_modules", "adapter_name_or_path", "optim",
    "precision", "bf16", "fp16", "pure_bf16", "use_cpu", "cutoff_len", "per_device_train_batch_size", "dataset",
    "dataset_dir", "template", "stage", "max_samples", "packing", "neat_packing", "streaming", "placeholders",
    "default_system", "tool_format", "enable_thinking",
)  # fmt: skip


class Asked(BaseModel):
    settings: Annotated[dict[str, Any], Field(max_length=500)]
    devices: Annotated[list[str], Field(max_length=64)] | None = None


class Estimate(BaseModel):
    """Bytes at the peak of a step over the longest rows, by what they are for: weights, gradients, optimizer,
    activations, logits, runtime. available: free on the device now; memory: all it has. longest: tokens of those rows;
    at_most: whether that is the cutoff, as the rows themselves are not known."""

    parts: dict[str, int]
    total: int
    available: int
    memory: int
    fits: bool
    trainable: int
    parameters: int
    checkpointing: bool
    longest: int
    at_most: bool
    note: Told


@router.post("/estimate")
def estimate(asked: Asked, studio: TheStudio, wanted: Listening) -> Estimate:
    """One that nobody waits for any more is called off: the page asks while somebody types."""
    settings = {key: asked.settings[key] for key in _KEYS if asked.settings.get(key) not in (None, "", [])}
    if not settings.get("model_name_or_path"):
        raise UserError("No model is chosen yet.", field="model_name_or_path")
    settings.pop("trust_remote_code", None)  # nothing of a model is run to reckon its memory
    job = forms.load("ask", settings).job
    forms.confine(job, studio.workspace, exposed=studio.exposed)
    data = _data_here(studio, job)
    there = studio.devices.all()
    device = next((one for one in there if one.id in (asked.devices or ())), there[0])
    kind = "cpu" if device.id == CPU or settings.get("use_cpu") else "cuda"
    # The room is told in quarters of a GB, so that its flutter does not ask anew.
    free = device.free >> 28 << 28
    key = json.dumps([settings, kind, free, data], sort_keys=True, default=str)
    answer = _remembered(studio.estimates, key)
    if answer is None:
        asking = {"settings": settings, "device": kind, "free": free, "look": data}
        answer = studio.children.asked().ask("estimate", wanted, **asking)
        studio.estimates[key] = answer
        while len(studio.estimates) > _KEPT:
            studio.estimates.popitem(last=False)
    return Estimate(
        parts=answer["parts"],
        total=answer["total"],
        available=device.free,
        memory=device.memory,
        fits=answer["total"] <= device.free * 0.9,
        trainable=answer["trainable"],
        parameters=answer["parameters"],
        checkpointing=answer["checkpointing"],
        longest=answer["longest"],
        at_most=answer["at_most"],
        note=answer["precision"],
    )


def _data_here(studio: Studio, job: Job) -> str:
    """A mark of the job's data sets as they are: how each is read, and size and time of every file. "" where not all of
    them lie in the workspace."""
    if job.data.dataset_dir.startswith("REMOTE:"):
        return ""
    seen: list[object] = []
    try:
        for entry in resolve(job.data.dataset, job.data.dataset_dir, hub=job.model.hub_name):
            if entry.place != "file":
                return ""
            seen.append(entry)
            for path in files_at(studio.workspace.inside(entry.location, field="dataset")):
                file = studio.workspace.inside(path, field="dataset").stat()
                seen.append((path, file.st_mtime_ns, file.st_size))
    except (UserError, OSError):  # the check tells of it
        return ""
    return hashlib.sha256(repr(seen).encode("utf-8")).hexdigest() if seen else ""


def _remembered(estimates: OrderedDict[str, dict[str, Any]], key: str) -> dict[str, Any] | None:
    try:
        estimates.move_to_end(key)
        return estimates[key]
    except KeyError:  # it is not there, or another thread has just let it go
        return None
