"""What a job stands on before any weight is loaded, and what that will cost in memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch

from tunesmith.config import Job
from tunesmith.config.places import cache_folder
from tunesmith.data.prepare import StreamedData, prepare, prepare_stream
from tunesmith.models.estimate import MemoryEstimate, Rows, estimate_training, gradient_checkpointing_needed
from tunesmith.models.load import load_config
from tunesmith.models.locate import LocalModel, locate
from tunesmith.models.precision import Precision, choose_device, choose_precision, device_facts, requested_precision
from tunesmith.models.vocabulary import Vocabulary, prepare_vocabulary
from tunesmith.text.template import ChosenTemplate, template_for
from tunesmith.text.tokenizer import Tokenizer
from tunesmith.training.build import Prepared, order_seed
from tunesmith.training.report import Speaker


@dataclass(frozen=True, slots=True)
class Ground:
    """The model's place on this machine, its tokens, template, number format, device, and the data in tokens.

    chosen: None where there are only plain documents.
    """

    located: LocalModel
    vocabulary: Vocabulary
    tokenizer: Tokenizer
    chosen: ChosenTemplate | None
    precision: Precision
    device: torch.device
    prepared: Prepared


def prepare_ground(job: Job, speaker: Speaker) -> Ground:
    """Locate the model, choose template and precision, tokenize the data."""
    cache = cache_folder()
    device = choose_device(use_cpu=job.training.use_cpu)
    precision = choose_precision(requested_precision(job.training), device_facts(device))
    located = locate(job.model)
    vocabulary = prepare_vocabulary(job.model, located, cache)
    tokenizer = Tokenizer.load(
        vocabulary.folder, split_special_tokens=job.model.split_special_tokens, words=job.model.add_tokens
    )
    chosen = None if job.objective.stage == "pt" else template_for(job.data, tokenizer)
    template = None if chosen is None else chosen.template
    prepared: Prepared
    with speaker.progress("reading the data") as report:
        shared: dict[str, Any] = {
            "seed": order_seed(job.training), "cache_dir": cache, "hub": job.model.hub_name, "report": report,
        }  # fmt: skip
        if job.data.streaming:
            shuffle = not job.training.disable_shuffling
            prepared = prepare_stream(job.data, job.objective, tokenizer, template, shuffle=shuffle, **shared)
        else:
            prepared = prepare(job.data, job.objective, tokenizer, template, **shared)
    return Ground(located, vocabulary, tokenizer, chosen, precision, device, prepared)


def estimate_memory(job: Job, ground: Ground) -> MemoryEstimate:
    """The memory of a step over the longest rows, with gradient checkpointing only where asked or needed."""
    length, device = longest_row(job, ground.prepared), ground.device
    return estimate_step(
        job, ground.vocabulary.folder, ground.precision, length, device=device.type, free=free_memory(device)
    )


def estimate_step(
    job: Job, folder: Path, precision: Precision, length: int, *, device: str, free: int
) -> MemoryEstimate:
    """The same for rows of `length` tokens. folder: of the model's configuration; free: bytes on the device."""
    rows = Rows(job.training.per_device_train_batch_size, length)
    estimate = partial(
        estimate_training,
        load_config(folder, job.model),
        job.model,
        job.adapter,
        job.optimizer,
        precision,
        rows,
        device=device,
    )
    plain = estimate(checkpointing=False)
    asked = job.model.gradient_checkpointing
    needed = gradient_checkpointing_needed(plain, free) if asked == "auto" else asked
    return estimate(checkpointing=True) if needed else plain


def longest_row(job: Job, prepared: Prepared) -> int:
    """Tokens of the longest row that a batch can hold."""
    samples = None if isinstance(prepared, StreamedData) else prepared.train
    if samples is None or job.data.packing or job.data.neat_packing:
        return job.data.cutoff_len
    return int(samples.lengths.max(initial=1))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
