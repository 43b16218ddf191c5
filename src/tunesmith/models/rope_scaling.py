"""Stretching a model's positions beyond the length it was made for."""

from __future__ import annotations

import math
from typing import Any, Literal

from transformers import PreTrainedConfig

from tunesmith.errors import UserError

Kind = Literal["linear", "dynamic", "yarn", "llama3"]


def stretch_positions(config: PreTrainedConfig, kind: Kind, length: int) -> tuple[PreTrainedConfig, str]:
    """A copy of the configuration whose positions reach `length` tokens, and one sentence on what was done.

    The factor is the next whole multiple of the original length. Models that already reach `length` stay as they are.
    """
    text = config.get_text_config()
    rope: dict[str, Any] | None = getattr(text, "rope_parameters", None)
    if not rope or "rope_theta" not in rope:
        raise UserError(
            f"rope_scaling can't be set for {config.model_type} models: their positions are not plain rotary ones.",
            hint="Leave rope_scaling out and keep cutoff_len within the model's length.",
            field="rope_scaling",
        )
    reach = text.max_position_embeddings
    if length <= reach:
        return config, f"rope_scaling is not needed: the model reaches {reach:,} tokens, cutoff_len is {length:,}."
    original = int(rope.get("original_max_position_embeddings") or reach)
    factor = float(math.ceil(length / original))
    changes: dict[str, Any] = {"rope_type": kind, "factor": factor}
    if kind in ("yarn", "llama3"):
        changes["original_max_position_embeddings"] = original
    if kind == "llama3":
        changes |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    settings = config.to_dict()
    target = settings["text_config"] if text is not config else settings
    target["rope_parameters"] = {
        "rope_theta": rope["rope_theta"],
        **{key: rope[key] for key in ("partial_rotary_factor",) if key in rope},
        **changes,
    }
    if kind != "dynamic":  # dynamic scaling starts where the original length ends, so it must stay readable
        target["max_position_embeddings"] = int(original * factor)
    return type(config).from_dict(settings), f"Positions stretched by {factor:g} ({kind}), from {original:,} tokens."
