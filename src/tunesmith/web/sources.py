"""What a person calls a model (a run, a checkpoint, an adapter, a folder), as the settings that name it."""

from __future__ import annotations

from typing import Any

from tunesmith.config.fields import fields
from tunesmith.jobs.places import configuration_of
from tunesmith.web import forms
from tunesmith.web.studio import Studio

OF_A_MODEL = frozenset({
    "model_name_or_path", "hub_name", "model_revision", "adapter_name_or_path", "finetuning_type", "template",
    "default_system", "tool_format", "enable_thinking", "add_tokens", "add_special_tokens", "resize_vocab",
    "rope_scaling", "cutoff_len",
    "trust_remote_code", "dataset", "dataset_dir", "eval_dataset", "val_size", "stage", "placeholders",
})  # fmt: skip
OF_ITS_LOSS = OF_A_MODEL | {
    "adapter_folder", "quantization_bit", "quantization_type", "double_quantization", "max_samples",
    "data_seed", "train_on_prompt", "mask_history", "preserve_thinking", "use_cpu",
}  # fmt: skip
"""Besides what names the model, all that decides which rows were held back from it and what they are worth."""


def settings_of(studio: Studio, place: str, keys: frozenset[str]) -> dict[str, Any]:
    """Those of the keys that the place sets to something other than their defaults. UserError where it is no model."""
    if studio.exposed:
        studio.workspace.inside(place, field="model_name_or_path")
    files, over = configuration_of(place)
    settings: dict[str, Any] = {}
    for file in files:
        settings |= forms.read_yaml(file.read_text(encoding="utf-8"), file.name)[0]
    settings |= over
    if settings.get("data_seed") is None:  # another seed for the answers leaves the rows as they are
        settings["data_seed"] = settings.get("seed")
    known = fields()
    return {
        key: value
        for key, value in settings.items()
        if key in keys and value is not None and value != known[key].default and value != []
    }
