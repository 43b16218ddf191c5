"""From a job to an engine that answers."""

from __future__ import annotations

import sys
from collections.abc import Callable

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
from tunesmith.text.template import template_for
from tunesmith.text.tokenizer import Tokenizer

Note = Callable[[str], None]
_WISHES: dict[str, Requested] = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}


def tell(sentence: str) -> None:
    """Notes go to stderr: on stdout are answers only."""
    print(translated(sentence), file=sys.stderr)


def load_engine(job: Job, note: Note = tell) -> ChatEngine:
    """The job's model with its adapters, ready to answer."""
    device = choose_device(use_cpu=job.training.use_cpu)
    located = locate(job.model)
    vocabulary = prepare_vocabulary(job.model, located, cache_folder())
    tokenizer = Tokenizer.load(
        vocabulary.folder, split_special_tokens=job.model.split_special_tokens, words=job.model.add_tokens
    )
    chosen = template_for(job.data, tokenizer)  # before the weights: what is wrong with it shows at once
    for sentence in chosen.notes:
        note(sentence)
    precision = _precision(job.model, device, note)
    try:
        model = _with_adapters(job, located, vocabulary, precision, device, note)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"The memory of the device is not enough for {located.name}.",
            hint="Set quantization_bit: 4, or use_cpu: true.",
            field="quantization_bit",
        ) from error
    generator = torch.Generator().manual_seed(job.training.seed)
    return ChatEngine(model.eval(), tokenizer, chosen.template, job.data.enable_thinking, located.name, generator)


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
