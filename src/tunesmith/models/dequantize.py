"""Weights that lie quantized in a checkpoint, as the numbers that they stand for: one tensor at a time.

Each layout is that of the program that writes it: bitsandbytes (`functional.py`, QuantState), GPTQModel and AutoAWQ
(`qweight`, `qzeros`, `scales`), compressed-tensors (`compressors/`), fine-grained fp8 as DeepSeek's models have it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tunesmith.models.shards import StoredTensor, read_header
from tunesmith.models.weights import DTYPES, StoredParameter, read_tensor

Stored = Mapping[str, StoredParameter]
"""What a checkpoint holds, by name. Names are those of one layer, without the layer's own, inside a reading."""

_FLOATS = ("F64", "F32", "F16", "BF16")
_FLOAT8 = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "F8_E8M0": torch.float8_e8m0fnu}
_STATE = "quant_state.bitsandbytes__"
_AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)  # where value i of eight lies in a packed number


def stored_in(files: Sequence[Path]) -> dict[str, StoredParameter]:
    """Every tensor of some safetensors files, none read."""
    return {name: StoredParameter(file, place) for file in files for name, place in read_header(file).items()}


@dataclass(frozen=True, slots=True)
class Reading:
    """How a quantized weight is read. parts: the tensors that it is made of, by their last names, none of which is a
    weight of its own. shape: of the whole. make: float32 [shape] out of the parts."""

    shape: tuple[int, ...]
    parts: Mapping[str, StoredParameter]
    make: Callable[[Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True, slots=True)
class Dequantized:
    """A quantized weight as a tensor like any other."""

    reading: Reading

    @property
    def shape(self) -> tuple[int, ...]:
        return self.reading.shape

    def read(self, dtype: torch.dtype) -> Tensor:
        made = self.reading.make({name: read_raw(stored) for name, stored in self.reading.parts.items()})
        return made.reshape(self.shape).to(dtype).contiguous()

    def blocks(self) -> Iterator[Tensor]:
        yield self.read(torch.float32).view(-1, self.shape[-1])


def dequantized(stored: Stored, settings: Mapping[str, Any]) -> dict[str, StoredParameter | Dequantized]:
    """Every weight by its name as if it had not been quantized.

    settings: `quantization_config` of config.json. ValueError names a tensor that can't be read.
    """
    layers: dict[str, dict[str, StoredParameter]] = {}
    for name, each in stored.items():
        layer, part = _split(name)
        layers.setdefault(layer, {})[part] = each
    found: dict[str, StoredParameter | Dequantized] = {}
    for layer, parts in layers.items():
        reading = _reading(parts, settings)
        used = set(reading.parts) if reading else set()
        if reading:
            found[f"{layer}.weight"] = Dequantized(reading)
        for part, each in parts.items():
            if part in used or part in _FOR_NOTHING:
                continue
            is_packed = each.place.dtype not in _FLOATS and len(each.shape) > 1
            if is_packed or (reading and part != "bias"):
                raise ValueError(f"{layer}.{part} is {each.place.dtype}, in a layout that is not known here")
            found[f"{layer}.{part}" if layer else part] = each
    if not any(isinstance(each, Dequantized) for each in found.values()):
        raise ValueError("no quantized weight in it is of a layout that is known here")
    return found


# Of activations and caches, or marks alone; they say nothing about a weight.
_FOR_NOTHING = ("weight_format", "input_scale", "input_zero_point", "input_global_scale", "output_scale", "k_scale",
                "v_scale", "activation_scale")  # fmt: skip


def _split(name: str) -> tuple[str, str]:
    """Layer and part of a tensor's name; what bitsandbytes puts below `weight` belongs to the layer too."""
    for mark in (".weight.", ".weight_packed."):
        if mark in name:
            layer, _, rest = name.partition(mark)
            return layer, f"weight.{rest}"
    layer, _, part = name.rpartition(".")
    return layer, part


def _reading(parts: Mapping[str, StoredParameter], settings: Mapping[str, Any]) -> Reading | None:
    """How the weight of one layer is stored; None where it is not quantized."""
    state = next((part for part in parts if part.startswith(f"weight.{_STATE}")), None)
    if state is not None:
        return _bitsandbytes_4bit(parts, state)
    if "SCB" in parts:
        chosen = {part: parts[part] for part in ("weight", "SCB")}
        return Reading(parts["weight"].shape, chosen, lambda t: t["weight"].float() * (t["SCB"].view(-1, 1) / 127))
    if "qweight" in parts:
        return _awq(parts, settings) if settings.get("quant_method") == "awq" else _gptq(parts, settings)
    if "weight_packed" in parts:
        return _packed(parts, settings)
    for names in _SCALED:
        if names[0] in parts and names[1] in parts:
            return _scaled(parts, *names, settings)
    return None


def _bitsandbytes_4bit(parts: Mapping[str, StoredParameter], state: str) -> Reading:
    """Two numbers of a table in each byte, the first in its upper half; the largest of each block tells its scale, and
    may be quantized itself."""
    told = json.loads(bytes(read_raw(parts[state]).tolist()))
    names = ("weight", *(part for part in parts if part.startswith("weight.")))

    def make(t: Mapping[str, Tensor]) -> Tensor:
        packed = t["weight"].view(torch.uint8).reshape(-1)
        codes = torch.stack([packed >> 4, packed & 15], dim=1).view(-1)
        absmax = t["weight.absmax"]
        if "weight.nested_absmax" in t:
            steps = t["weight.nested_quant_map"].float()[absmax.int()]
            blocks = t["weight.nested_absmax"].float().repeat_interleave(told["nested_blocksize"])
            absmax = steps * blocks[: len(steps)] + told.get("nested_offset", 0.0)
        values = t["weight.quant_map"].float()[codes.int()]
        scales = absmax.float().repeat_interleave(told["blocksize"])
        count = torch.Size(told["shape"]).numel()
        return values[:count] * scales[:count]

    return Reading(tuple(told["shape"]), {name: parts[name] for name in names}, make)


def _gptq(parts: Mapping[str, StoredParameter], settings: Mapping[str, Any]) -> Reading:
    """Codes packed down the columns of [in, out]; each row of codes belongs to the group that g_idx tells."""
    bits, size = int(settings["bits"]), int(settings.get("group_size", -1))
    columns = parts["qweight"].shape[1]
    rows = parts["qweight"].shape[0] * 32 // bits
    one_off = 0 if settings.get("checkpoint_format") == "gptq_v2" else 1  # the first format keeps zeros less one
    chosen = {part: parts[part] for part in ("qweight", "qzeros", "scales", "g_idx") if part in parts}

    def make(t: Mapping[str, Tensor]) -> Tensor:
        codes = unpack(t["qweight"].T.contiguous(), bits).T
        zeros = unpack(t["qzeros"], bits)[:, :columns] + one_off
        zeros = zeros & ((1 << bits) - 1) if one_off else zeros
        group = t["g_idx"].long() if "g_idx" in t else torch.arange(rows) // (size if size > 0 else rows)
        return (t["scales"].float()[group] * (codes - zeros[group])).T

    return Reading((columns, rows), chosen, make)


def _awq(parts: Mapping[str, StoredParameter], settings: Mapping[str, Any]) -> Reading | None:
    """Codes packed along the rows of [in, out], eight in an order of their own."""
    if str(settings.get("version", "gemm")).lower() != "gemm" or int(settings.get("bits", 4)) != 4:
        return None
    rows, columns = parts["qweight"].shape[0], parts["qweight"].shape[1] * 8
    chosen = {part: parts[part] for part in ("qweight", "qzeros", "scales")}

    def make(t: Mapping[str, Tensor]) -> Tensor:
        codes, zeros = (_in_order(unpack(t[part], 4)) for part in ("qweight", "qzeros"))
        size = rows // len(zeros)
        spread = (each.repeat_interleave(size, dim=0) for each in (t["scales"].float(), zeros))
        scale, zero = spread
        return (scale * (codes - zero)).T

    return Reading((columns, rows), chosen, make)


def _in_order(codes: Tensor) -> Tensor:
    return codes.unflatten(1, (-1, 8))[..., list(_AWQ_ORDER)].flatten(1)


def _packed(parts: Mapping[str, StoredParameter], settings: Mapping[str, Any]) -> Reading | None:
    """compressed-tensors' whole numbers of 4 or 8 bits, packed along the rows, moved up by half their range."""
    if "weight_shape" not in parts or parts["weight_packed"].place.dtype != "I32":
        return None
    shape = tuple(read_raw(parts["weight_shape"]).tolist())
    bits = _bits(settings, -(-parts["weight_packed"].shape[1] * 32 // shape[1]))
    names = ("weight_packed", "weight_scale", "weight_zero_point", "weight_g_idx", "weight_shape")
    half = 1 << (bits - 1)

    def make(t: Mapping[str, Tensor]) -> Tensor:
        codes = unpack(t["weight_packed"], bits)[:, : shape[1]] - half
        scale, zero = t["weight_scale"].float(), torch.zeros(())
        if "weight_zero_point" in t:
            zero = t["weight_zero_point"]
            if zero.dtype == torch.int32:
                zero = unpack(zero.T.contiguous(), bits).T[: len(scale)] - half
        groups = t.get("weight_g_idx")
        if groups is None or (groups < 0).any():
            groups = torch.arange(shape[1]) // (shape[1] // scale.shape[1])
        chosen = groups.long()
        return (codes - (zero.float()[:, chosen] if zero.dim() else zero)) * scale[:, chosen]

    return Reading(shape, {name: parts[name] for name in names if name in parts}, make)


def _bits(settings: Mapping[str, Any], otherwise: int) -> int:
    groups = (settings.get("config_groups") or {}).values()
    told = {int((group.get("weights") or {}).get("num_bits") or otherwise) for group in groups}
    return told.pop() if len(told) == 1 else otherwise


# Codes, scale and zero of 8-bit weights: DeepSeek's fp8, compressed-tensors, torchao.
_SCALED = (
    ("weight", "weight_scale_inv", "weight_zero_point"),
    ("weight", "weight_scale", "weight_zero_point"),
    ("_weight_qdata", "_weight_scale", "_weight_zero_point"),
)


def _scaled(
    parts: Mapping[str, StoredParameter], codes: str, scale: str, zero: str, settings: Mapping[str, Any]
) -> Reading | None:
    """8-bit numbers times a scale for all, a row, a group of a row or a block."""
    shape, block = parts[codes].shape, settings.get("weight_block_size")
    if parts[codes].place.dtype not in ("I8", *_FLOAT8) or len(shape) < 2:
        return None

    def make(t: Mapping[str, Tensor]) -> Tensor:
        values = t[codes].float()
        if zero in t:
            values = values - _spread(t[zero].float(), shape, block)
        return values * _spread(t[scale].float(), shape, block)

    return Reading(shape, {part: parts[part] for part in (codes, scale, zero) if part in parts}, make)


def _spread(scale: Tensor, shape: tuple[int, ...], block: Any) -> Tensor:
    """A scale for every number, as far as broadcasting does not do it."""
    if scale.numel() == 1:
        return scale.reshape(())
    scale = scale.unsqueeze(-1) if scale.dim() < len(shape) else scale
    for dim in (-2, -1):
        if scale.shape[dim] not in (1, shape[dim]):
            size = block[dim] if block else -(-shape[dim] // scale.shape[dim])
            scale = scale.repeat_interleave(int(size), dim=dim).narrow(dim, 0, shape[dim])
    return scale


def unpack(packed: Tensor, bits: int) -> Tensor:
    """int32 [n, k] → int32 [n, k · 32 / bits], each value's bits one after the other from the lowest up, across the
    borders of numbers where `bits` does not divide 32."""
    numbers = packed.to(torch.int64) & 0xFFFFFFFF
    at = torch.arange(packed.shape[1] * 32 // bits) * bits
    word, shift = at // 32, at % 32
    values = numbers[:, word] >> shift
    beyond = (shift + bits) > 32
    if beyond.any():
        values[:, beyond] |= numbers[:, word[beyond] + 1] << (32 - shift[beyond])
    return (values & ((1 << bits) - 1)).int()


def read_raw(stored: StoredParameter) -> Tensor:
    """A tensor as it lies in the file, 8-bit floats too."""
    if (kind := _FLOAT8.get(stored.place.dtype)) is None:
        return read_tensor(stored.path, stored.place, DTYPES[stored.place.dtype])
    place: StoredTensor = replace(stored.place, dtype="U8")
    return read_tensor(stored.path, place, torch.uint8).view(kind)
