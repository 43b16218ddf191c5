"""Models that lie quantized on disk: run by their own library where it is there, else as the numbers they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tunesmith.errors import UserError
from tunesmith.models.dequantize import Dequantized, dequantized, stored_in
from tunesmith.models.shards import weight_files

_LIBRARIES = {
    "bitsandbytes": ("bitsandbytes", 'pip install "tunesmith[bitsandbytes]"'),
    "compressed-tensors": ("compressed_tensors", "pip install compressed-tensors"),
    "torchao": ("torchao", 'pip install "tunesmith[torchao]"'),
    "gptq": ("gptqmodel", "pip install gptqmodel"),
    "awq": ("gptqmodel", "pip install gptqmodel"),
    "hqq": ("hqq", "pip install hqq"),
    "quanto": ("optimum.quanto", "pip install optimum-quanto"),
}
"""The package that transformers runs a method with, and how it is installed."""


def method_of(settings: Mapping[str, Any]) -> str:
    """settings: `quantization_config` of config.json."""
    return str(settings.get("quant_method") or ("bitsandbytes" if "load_in_4bit" in settings else "an unknown method"))


def plain_weights(
    folder: Path, settings: Mapping[str, Any], dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor] | None:
    """Every weight in `dtype`, dequantized one by one; None where transformers runs the quantized ones.

    UserError where the library that the model needs is not installed and its layout is not known here.
    """
    method = method_of(settings)
    package, command = _LIBRARIES.get(method, (None, ""))
    missing = package is not None and not _is_installed(package)
    if device.type != "cpu" and not missing:  # their kernels are made for graphics cards
        return None
    try:
        found = dequantized(stored_in(weight_files(folder)), settings)
    except (ValueError, KeyError) as error:
        if not missing:
            return None
        raise UserError(
            f"{folder} is quantized ({method}), and the package {package} that runs it is not installed.",
            hint=f"{command}, or use the unquantized model that it was made from.",
            field="model_name_or_path",
        ) from error
    return {
        name: each.read(dtype if isinstance(each, Dequantized) or each.dtype.is_floating_point else each.dtype)
        for name, each in found.items()
    }


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the package that it lies in
        return False
