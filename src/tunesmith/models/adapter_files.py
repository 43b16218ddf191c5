"""Adapters that are there already: found, checked against the model, put on or merged."""

from __future__ import annotations

import json
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from torch import nn
from transformers import PreTrainedModel

from tunesmith.config.adapter import AdapterConfig
from tunesmith.config.model import ModelConfig
from tunesmith.config.places import cache_folder
from tunesmith.errors import UserError, did_you_mean
from tunesmith.models import internlm2
from tunesmith.models.hub import download, looks_like_hub_id
from tunesmith.models.locate import locate, missing_place
from tunesmith.models.pissa import at_start, is_pissa, remember_start
from tunesmith.models.shards import read_header
from tunesmith.runs.files import read_json

FIELD = "adapter_name_or_path"
_BUILD = ("architectures", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
_FILES = ("adapter_config.json", "adapter_model.safetensors", "*/adapter_config.json", "*/adapter_model.safetensors")


def locate_adapter(asked: str, adapter: AdapterConfig, model: ModelConfig) -> Path:
    """The folder of an adapter, downloaded first if it is on a hub. UserError says what is wrong with it."""
    path = Path(asked).expanduser()
    if not path.is_dir():
        if path.exists() or not looks_like_hub_id(asked):
            siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
            hint = did_you_mean(path.name, siblings) or "Give the folder that holds adapter_config.json."
            raise UserError(f"There is no adapter folder {asked}.", hint=hint, field=FIELD)
        if error := missing_place(asked, field=FIELD):
            raise error
        path = download(asked, model, _FILES, revision="main", field=FIELD)
    if adapter.adapter_folder:
        path = path / adapter.adapter_folder
    _check(path, asked)
    return _as_llama(path, model)


def _as_llama(path: Path, model: ModelConfig) -> Path:
    """The adapter itself, or what it is to a base that is read as a Llama."""
    if not internlm2.is_adapter(path):
        return path
    base = locate(model).path
    config = (read_json(base / "config.json") if base.is_dir() else None) or {}
    if config.get("model_type") != internlm2.MODEL_TYPE:
        return path
    return internlm2.llama_adapter(path, config, cache_folder())


def _check(path: Path, asked: str) -> None:
    if not (path / "adapter_config.json").is_file():
        if (path / "config.json").is_file():
            message, hint = f"{asked} is a whole model, not an adapter.", f"Set model_name_or_path: {asked} instead."
        else:
            below = sorted(path.glob("checkpoint-*/adapter_config.json"), key=lambda file: file.stat().st_mtime)
            message = f"{asked} is not an adapter: it has no adapter_config.json."
            hint = f"Did you mean {below[-1].parent}?" if below else "Give the folder that a LoRA run has written."
        raise UserError(message, hint=hint, field=FIELD)
    weights = path / "adapter_model.safetensors"
    if not weights.is_file():
        pickled = (path / "adapter_model.bin").is_file()
        raise UserError(
            f"{asked} has its weights only as adapter_model.bin, a pickle, which can run code when it is opened."
            if pickled
            else f"{asked} has an adapter_config.json but no adapter_model.safetensors.",
            hint="Save it again as safetensors with a current peft." if pickled else "Copy the whole folder.",
            field=FIELD,
        )
    read_header(weights)


def put_on(model: PreTrainedModel, path: Path, *, trainable: bool) -> PeftModel:
    """The model with the adapter beside its weights, in float32 if trainable. UserError if made for another base."""
    base = _base_of(path)
    try:
        config = PeftConfig.from_pretrained(path)
        adapted = (_put_on_pissa if is_pissa(config) else _put_on_lora)(model, path, config, trainable)
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise _foreign(path, base, _reason(error)) from error
    stored = set(read_header(path / "adapter_model.safetensors"))
    wanted = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    if extra := sorted(stored - wanted):
        raise _foreign(path, base, f"it has weights for {extra[0]}, which this model has not")
    if lacking := sorted(wanted - stored):
        raise _foreign(path, base, f"it has no weights for {lacking[0]}")
    return adapted


def _put_on_lora(model: PreTrainedModel, path: Path, config: PeftConfig, trainable: bool) -> PeftModel:
    return PeftModel.from_pretrained(
        model, path, is_trainable=trainable, config=config, autocast_adapter_dtype=trainable
    )


def _put_on_pissa(model: PreTrainedModel, path: Path, config: PeftConfig, trainable: bool) -> PeftModel:
    """The base is factored again, by a random method: seeded, it is the one of the first time."""
    config.inference_mode = not trainable
    with torch.random.fork_rng():
        torch.manual_seed(0)
        adapted = get_peft_model(model, config, autocast_adapter_dtype=trainable)
    assert isinstance(adapted, PeftModel)
    remember_start(adapted)  # before the trained weights come over it
    adapted.load_adapter(str(path), "default", is_trainable=trainable, autocast_adapter_dtype=trainable)
    return adapted


def before_training(model: nn.Module) -> AbstractContextManager[Any]:
    """Within this context an adapted model answers as its base."""
    if not isinstance(model, PeftModel):
        return nullcontext()
    return at_start(model) if is_pissa(model.peft_config["default"]) else model.disable_adapter()


def another_base(model: PreTrainedModel, path: Path) -> str | None:
    """A sentence where the adapter names another base than this model; None where either is not known.

    A model is called by its hub id here and by a folder there, so that only the last part of a name counts, unless both
    are folders here that hold different models.
    """
    theirs, ours = _base_of(path), model.name_or_path
    if not theirs or not ours or (_last_part(theirs) == _last_part(ours) and not _built_otherwise(theirs, ours)):
        return None
    return f"The adapter {path} says that it was trained on {theirs}; on {ours} it may not do what it has learnt."


def _base_of(path: Path) -> str | None:
    base = json.loads((path / "adapter_config.json").read_text(encoding="utf-8")).get("base_model_name_or_path")
    return base if isinstance(base, str) else None


def _last_part(name: str) -> str:
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1].lower()


def _built_otherwise(theirs: str, ours: str) -> bool:
    """Whether both are folders on this machine whose config.json tell of different models."""
    one, other = (read_json(Path(name) / "config.json") for name in (theirs, ours))
    return one is not None and other is not None and any(one.get(key) != other.get(key) for key in _BUILD)


def merge(model: PreTrainedModel, path: Path) -> PreTrainedModel:
    """The model with the adapter added into its weights."""
    merged: Any = put_on(model, path, trainable=False).merge_and_unload()
    assert isinstance(merged, PreTrainedModel)
    return merged


def _foreign(path: Path, base: str | None, reason: str) -> UserError:
    return UserError(
        f"The adapter {path} does not fit this model: {reason}.",
        hint=f"It was trained on {base}: set model_name_or_path to that."
        if base
        else "Use the base it was trained on.",
        field=FIELD,
    )


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    sizes = next((line for line in lines if "size mismatch" in line), None)
    return (sizes or (lines[0] if lines else type(error).__name__)).rstrip(".")
