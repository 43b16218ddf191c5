"""Loading the base model quantized to 4 or 8 bits (QLoRA), with bitsandbytes."""

from __future__ import annotations

from typing import Any

import torch

from tunesmith.config.model import ModelConfig
from tunesmith.models.precision import Precision
from tunesmith.models.quantizable import must_be_quantizable


def quantization_config(model: ModelConfig, precision: Precision, device: torch.device) -> Any | None:
    """transformers' BitsAndBytesConfig, or None if no quantization is asked for. UserError where it can't work."""
    bits = model.quantization_bit
    if bits is None:
        return None
    must_be_quantizable(bits, device.type)
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
