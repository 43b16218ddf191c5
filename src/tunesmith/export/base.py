"""A base's tensors as the plain matrices that a merge works on: whatever they lie in, quantized or by other names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tunesmith.errors import UserError
from tunesmith.export.growth import BaseTensor
from tunesmith.models import internlm2
from tunesmith.models.dequantize import Dequantized, dequantized, stored_in
from tunesmith.models.gguf.materialize import list_weights
from tunesmith.models.locate import LocalModel
from tunesmith.models.shards import weight_files
from tunesmith.models.weights import DTYPES, StoredParameter

FIELD = "model_name_or_path"
_ROUNDED = torch.bfloat16  # of what was quantized to a few bits, unless another is asked for

Tensors = dict[str, tuple[BaseTensor, torch.dtype]]
"""Name on disk → tensor and the dtype it is written in."""


def read_config(folder: Path, located: LocalModel, notes: list[str]) -> dict[str, Any]:
    """config.json of the model that the tensors of `base_tensors` make. folder: of `prepare_vocabulary`."""
    path = folder / "config.json" if (folder / "config.json").is_file() else located.path / "config.json"
    config = _parsed(path)
    if quantized := config.pop("quantization_config", None):
        method = quantized.get("quant_method", "another method") if isinstance(quantized, dict) else "another method"
        notes.append(
            f"The base is quantized ({method}): it is dequantized weight by weight. What its quantization lost stays "
            "lost; the unquantized model it was made from gives a better result."
        )
    if config.get("model_type") == internlm2.MODEL_TYPE:
        config = internlm2.llama_config(config)
        notes.append("InternLM2 is written as the Llama that it is; every program that runs Llama runs it.")
    return config


def base_tensors(located: LocalModel, dtype: torch.dtype | None) -> Tensors:
    """Every weight of the base, none read yet. UserError for a quantization that can't be undone."""
    if located.kind == "gguf":
        return {weight.name: (weight, dtype or _ROUNDED) for weight in list_weights(located.path)}
    config = _parsed(located.path / "config.json")
    found = _folder_tensors(located, config, dtype)
    return dict(_as_llama(found, config)) if config.get("model_type") == internlm2.MODEL_TYPE else found


def _folder_tensors(located: LocalModel, config: Mapping[str, Any], dtype: torch.dtype | None) -> Tensors:
    stored = stored_in(weight_files(located.path))
    settings = config.get("quantization_config")
    plain = all(each.place.dtype in DTYPES for each in stored.values())
    if not settings and plain:
        return {name: (each, _written(each, dtype)) for name, each in stored.items()}
    try:
        undone = dequantized(stored, settings if isinstance(settings, dict) else {})
    except (ValueError, KeyError, RuntimeError) as error:
        raise _unreadable(located, settings, error) from error
    usual = getattr(torch, str(config.get("dtype") or config.get("torch_dtype")), None)
    floating = dtype or (usual if isinstance(usual, torch.dtype) else _ROUNDED)
    return {
        name: (each, floating if isinstance(each, Dequantized) else _written(each, dtype))
        for name, each in undone.items()
    }


def _written(stored: StoredParameter, dtype: torch.dtype | None) -> torch.dtype:
    return dtype if dtype and stored.dtype.is_floating_point else stored.dtype


def _unreadable(located: LocalModel, settings: Any, error: Exception) -> UserError:
    how = settings.get("quant_method") if isinstance(settings, dict) else "another format"
    return UserError(
        f"{located.path} is quantized ({how}) in a way that can't be undone here: {error}.",
        hint="Set model_name_or_path to the unquantized model it was made from; the adapter fits that too.",
        field=FIELD,
    )


def _parsed(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}.", hint="Download the model again.", field=FIELD) from error
    assert isinstance(config, dict)
    return config


# Tensors that hold several


@dataclass(frozen=True, slots=True)
class _Share:
    """Rows of a tensor that holds q, k and v of InternLM2."""

    whole: BaseTensor
    part: int
    config: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return (internlm2.part_rows(self.part, self.config), *self.whole.shape[1:])

    def read(self, dtype: torch.dtype) -> Tensor:
        return internlm2.take_part(self.whole.read(dtype), self.part, self.config)

    def blocks(self) -> Iterator[Tensor]:
        whole = torch.cat(list(self.whole.blocks())).view(self.whole.shape)
        yield internlm2.take_part(whole, self.part, self.config).reshape(-1, self.shape[-1])


def _as_llama(tensors: Tensors, config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[BaseTensor, torch.dtype]]]:
    for name, (tensor, dtype) in tensors.items():
        for each in internlm2.llama_names(name):
            yield each.name, (tensor if each.part is None else _Share(tensor, each.part, config), dtype)
