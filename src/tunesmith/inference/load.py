"""From a job to an engine that answers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from tunesmith.config import Job, ModelConfig
from tunesmith.config.places import cache_folder
from tunesmith.errors import UserError
from tunesmith.i18n import translated
from tunesmith.inference.engine import ChatEngine
from tunesmith.models.adapters import apply_tuning
from tunesmith.models.load import load_model
from tunesmith.models.locate import LocalModel, locate
from tunesmith.models.precision import Precision, Requested, choose_device, choose_precision, device_facts
from tunesmith.models.vocabulary import Vocabulary, prepare_vocabulary
from tunesmith.text.template import ChatTemplate, template_for
from tunesmith.text.tokenizer import Tokenizer

Note = Callable[[str], None]
_WISHES: dict[str, Requested] = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}


def tell(sentence: str) -> None:
    """Notes go to stderr: on stdout are answers only."""
    print(translated(sentence), file=sys.stderr)


@dataclass(frozen=True, slots=True)
class Found:
    """A job's model before its weights are loaded."""

    located: LocalModel
    vocabulary: Vocabulary
    tokenizer: Tokenizer


def find(job: Job) -> Found:
    """Where the job's model lies on this machine, with its tokens."""
    located = locate(job.model)
    vocabulary = prepare_vocabulary(job.model, located, cache_folder())
    tokenizer = Tokenizer.load(
        vocabulary.folder, split_special_tokens=job.model.split_special_tokens, words=job.model.add_tokens
    )
    return Found(located, vocabulary, tokenizer)


def load_engine(job: Job, note: Note = tell) -> ChatEngine:
    """The job's model with its adapters, ready to answer."""
    found = find(job)
    chosen = template_for(job.data, found.tokenizer)  # before the weights: what is wrong with it shows at once
    for sentence in chosen.notes:
        note(sentence)
    return engine_of(job, found, chosen.template, load_tuned(job, found, note))


def engine_of(job: Job, found: Found, template: ChatTemplate, model: PreTrainedModel) -> ChatEngine:
    generator = torch.Generator().manual_seed(job.training.seed)
    return ChatEngine(model, found.tokenizer, template, job.data.enable_thinking, found.located.name, generator)


def load_tuned(job: Job, found: Found, note: Note = tell) -> PreTrainedModel:
    """The weights with the job's adapters, in evaluation mode."""
    device = choose_device(use_cpu=job.training.use_cpu)
    precision = _precision(job.model, device, note)
    try:
        return _with_adapters(job, found.located, found.vocabulary, precision, device, note).eval()
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"The memory of the device is not enough for {found.located.name}.",
            hint="Set quantization_bit: 4, or use_cpu: true.",
            field="quantization_bit",
        ) from error


def _with_adapters(
    job: Job, located: LocalModel, vocabulary: Vocabulary, precision: Precision, device: torch.device, note: Note
) -> PreTrainedModel:
    # Stretched positions depend on cutoff_len: only with the same is it the model that was trained.
    stretched_to = job.data.cutoff_len if job.model.rope_scaling else None
    base = load_model(
        job.model, located, precision, vocabulary,
        device=device, training=False, cutoff_len=stretched_to, note=note,
    )  # fmt: skip
    return apply_tuning(base, job.adapter, job.model, new_ids=vocabulary.new_ids, is_trainable=False, note=note)


def _precision(model: ModelConfig, device: torch.device, note: Note) -> Precision:
    """The number format asked for; a word where this device can't do it."""
    wish = _WISHES.get(model.infer_dtype, "auto")
    precision = choose_precision(wish, device_facts(device))
    if wish != "auto" and precision.compute != getattr(torch, model.infer_dtype):
        note(precision.note)
    return precision
