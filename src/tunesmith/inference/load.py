"""From a job to an engine that answers."""

from __future__ import annotations

import sys

import torch

from tunesmith.config import Job, ModelConfig
from tunesmith.config.places import cache_folder
from tunesmith.inference.engine import ChatEngine
from tunesmith.models.adapters import apply_tuning
from tunesmith.models.load import load_model
from tunesmith.models.locate import locate
from tunesmith.models.precision import Precision, Requested, choose_device, choose_precision, device_facts
from tunesmith.models.vocabulary import prepare_vocabulary
from tunesmith.text.template import choose_template
from tunesmith.text.tokenizer import Tokenizer

_WISHES: dict[str, Requested] = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}


def load_engine(job: Job) -> ChatEngine:
    """The job's model with its adapters, ready to answer."""
    device = choose_device(use_cpu=job.training.use_cpu)
    located = locate(job.model)
    vocabulary = prepare_vocabulary(job.model, located, cache_folder())
    tokenizer = Tokenizer.load(vocabulary.folder, split_special_tokens=job.model.split_special_tokens)
    data = job.data
    chosen = choose_template(
        data.template,
        tokenizer,
        default_system=data.default_system,
        tools=data.tool_format,
        preserve_thinking=data.preserve_thinking,
        thinking=data.enable_thinking,
    )
    base = load_model(
        job.model, located, _precision(job.model, device), vocabulary, device=device, training=False, note=_tell
    )
    model = apply_tuning(base, job.adapter, job.model, new_ids=vocabulary.new_ids, is_trainable=False, note=_tell)
    return ChatEngine(model.eval(), tokenizer, chosen.template, data.enable_thinking, located.name)


def _precision(model: ModelConfig, device: torch.device) -> Precision:
    return choose_precision(_WISHES.get(model.infer_dtype, "auto"), device_facts(device))


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr)
