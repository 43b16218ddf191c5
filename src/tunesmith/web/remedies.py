"""Settings that would have let a failed run go on, for the errors that are met most: one click tries again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

_MEMORY = re.compile(r"memory (of the device )?is not enough|out of memory", re.IGNORECASE)
_NOT_A_NUMBER = re.compile(r"not a number|\bNaN\b|is no number|diverged", re.IGNORECASE)
_IN_USE = re.compile(r"already holds a run|already in use")
_BF16 = re.compile(r"\bbf16\b.*(not|can't)|(not|can't).*\bbf16\b", re.IGNORECASE)
_LEAST_CUTOFF = 256


class Remedy(BaseModel):
    """what: for translation; settings: laid over the run's own."""

    what: str
    settings: dict[str, Any]


def remedies(message: str, config: Mapping[str, Any]) -> list[Remedy]:
    """The remedies for an error, the mildest first. config: the settings as the run had them."""
    if _MEMORY.search(message):
        return _less_memory(config)
    if _IN_USE.search(message):
        return [Remedy(what="another_folder", settings={"output_dir": None})]
    if _BF16.search(message):
        return [Remedy(what="automatic_precision", settings={"precision": "auto", "bf16": False, "pure_bf16": False})]
    if _NOT_A_NUMBER.search(message):
        rate = config.get("learning_rate")
        third = {"learning_rate": float(f"{rate / 3:.1e}")} if isinstance(rate, int | float) else {}
        return [Remedy(what="lower_learning_rate", settings=third)] if third else []
    return []


def _less_memory(config: Mapping[str, Any]) -> list[Remedy]:
    found = []
    if config.get("do_train") is False:  # an evaluation: its batches, and no other rows than were asked for
        rows = config.get("per_device_eval_batch_size") or 1
        if rows > 1:
            found.append(Remedy(what="fewer_at_once", settings={"per_device_eval_batch_size": rows // 2}))
        return [*found, *_four_bits(config)]
    rows, steps = config.get("per_device_train_batch_size") or 1, config.get("gradient_accumulation_steps") or 1
    if rows > 1:
        halved = {"per_device_train_batch_size": rows // 2, "gradient_accumulation_steps": steps * rows // (rows // 2)}
        found.append(Remedy(what="smaller_batches", settings=halved))
    if config.get("gradient_checkpointing") is not True:
        found.append(Remedy(what="recompute_activations", settings={"gradient_checkpointing": True}))
    if (cutoff := config.get("cutoff_len") or 0) >= 2 * _LEAST_CUTOFF:
        found.append(Remedy(what="shorter_rows", settings={"cutoff_len": cutoff // 2}))
    return [*found, *_four_bits(config)]


def _four_bits(config: Mapping[str, Any]) -> list[Remedy]:
    if config.get("finetuning_type") != "lora" or config.get("quantization_bit") or config.get("use_cpu"):
        return []
    return [Remedy(what="four_bit_base", settings={"quantization_bit": 4})]
