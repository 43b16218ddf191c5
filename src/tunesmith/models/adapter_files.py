"""Adapters that are there already: found, checked against the model, put on or merged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from transformers import PreTrainedModel

from tunesmith.config.adapter import AdapterConfig
from tunesmith.config.model import ModelConfig
from tunesmith.errors import UserError, did_you_mean
from tunesmith.models.hub import download, looks_like_hub_id
from tunesmith.models.shards import read_header

FIELD = "adapter_name_or_path"
_FILES = ("adapter_config.json", "adapter_model.safetensors", "*/adapter_config.json", "*/adapter_model.safetensors")


def locate_adapter(asked: str, adapter: AdapterConfig, model: ModelConfig) -> Path:
    """The folder of an adapter, downloaded first if it is on a hub. UserError says what is wrong with it."""
    path = Path(asked).expanduser()
    if not path.is_dir():
        if path.exists() or not looks_like_hub_id(asked):
            siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
            hint = did_you_mean(path.name, siblings) or "Give the folder that holds adapter_config.json."
            raise UserError(f"There is no adapter folder {asked}.", hint=hint, field=FIELD)
        path = download(asked, model, _FILES, revision="main", field=FIELD)
    if adapter.adapter_folder:
        path = path / adapter.adapter_folder
    _check(path, asked)
    return path


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
    base = json.loads((path / "adapter_config.json").read_text(encoding="utf-8")).get("base_model_name_or_path")
    try:
        # PiSSA factors the base again while loading, by a random method: seeded, it is the one of the first time.
        with torch.random.fork_rng():
            torch.manual_seed(0)
            adapted = PeftModel.from_pretrained(model, path, is_trainable=trainable, autocast_adapter_dtype=trainable)
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise _foreign(path, base, _reason(error)) from error
    stored = set(read_header(path / "adapter_model.safetensors"))
    wanted = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    if extra := sorted(stored - wanted):
        raise _foreign(path, base, f"it has weights for {extra[0]}, which this model has not")
    if lacking := sorted(wanted - stored):
        raise _foreign(path, base, f"it has no weights for {lacking[0]}")
    return adapted


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
