"""Loading the base model quantized to 4 or 8 bits (QLoRA), with bitsandbytes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch

from tunesmith.config.model import ModelConfig
from tunesmith.errors import UserError
from tunesmith.models.precision import Precision

FIELD = "quantization_bit"


def quantization_config(model: ModelConfig, precision: Precision, device: torch.device) -> Any | None:
    """transformers' BitsAndBytesConfig, or None if no quantization is asked for. UserError where it can't work."""
    bits = model.quantization_bit
    if bits is None:
        return None
    if bits not in (4, 8):
        raise UserError(f"quantization_bit is {bits}; bitsandbytes has 4 and 8.", hint="Set 4 or 8.", field=FIELD)
    if device.type not in ("cuda", "xpu"):
        raise UserError(
            f"quantization_bit: {bits} needs a GPU; this run is on the {device.type.upper()}.",
            hint="Leave quantization_bit out: LoRA on a bf16 base works here.",
            field=FIELD,
        )
    if find_spec("bitsandbytes") is None:
        raise UserError(
            f"quantization_bit: {bits} needs the bitsandbytes package, which is not installed.",
            hint='Install it with `pip install "tunesmith[bitsandbytes]"`.',
            field=FIELD,
        )
    from transformers import BitsAndBytesConfig

    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_compute_dtype=precision.compute,
        bnb_4bit_quant_type=model.quantization_type,
        bnb_4bit_use_double_quant=model.double_quantization,
        bnb_4bit_quant_storage=precision.compute,  # FSDP shards only parameters of one dtype
    )
