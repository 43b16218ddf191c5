"""Weights that lie quantized in a checkpoint, as the numbers that they stand for: one tensor at a time.

Each layout is that of the program that writes it: bitsandbytes (`functional.py`, QuantState), GPTQModel and AutoAWQ
(`qweight`, `qzeros`, `scales`), compressed-tensors (`compressors/`), fine-grained fp8 as DeepSeek's models have it.
"""

from __future__ import annotations

import json
import math
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
_BLOCK = 4 << 20  # numbers made at once
_TOGETHER = 8  # rows that may lie in the same packed numbers
_AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)  # where value i of eight lies in a packed number


def stored_in(files: Sequence[Path]) -> dict[str, StoredParameter]:
    """Every tensor of some safetensors files, none read."""
    return {name: StoredParameter(file, place) for file in files for name, place in read_header(file).items()}


@dataclass(frozen=True, slots=True)
class Reading:
    """How a quantized weight is read. parts: the tensors that it is made of, by their last names, none of which is a
    weight of its own. shape: of the whole. rows: of the weight out of the parts, float32 [last - first, columns]."""

    shape: tuple[int, ...]
    parts: Mapping[str, StoredParameter]
    rows: Callable[[Mapping[str, Tensor], int, int], Tensor]


@dataclass(frozen=True, slots=True)
class Dequantized:
    """A quantized weight as a tensor like any other."""

    reading: Reading

    @property
    def shape(self) -> tuple[int, ...]:
        return self.reading.shape

    def read(self, dtype: torch.dtype) -> Tensor:
        whole = torch.empty(self.shape, dtype=dtype)
        flat, done = whole.view(-1, self.shape[-1]), 0
        for block in self.blocks():
            flat[done : done + len(block)].copy_(block)
            done += len(block)
        return whole

    def blocks(self) -> Iterator[Tensor]:
        """Some rows at a time: the whole in float32, with all that is made on the way, takes many times as much."""
        parts = {name: read_raw(stored) for name, stored in self.reading.parts.items()}
        count, columns = math.prod(self.shape[:-1]), self.shape[-1]
        step = max(_TOGETHER, _BLOCK // columns // _TOGETHER * _TOGETHER)
        for first in range(0, count, step):
            yield self.reading.rows(parts, first, min(first + step, count)).contiguous()


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
        return Reading(parts["weight"].shape, chosen, _scaled_by_row)
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

    shape, size = tuple(told["shape"]), int(told["blocksize"])
    columns, count = shape[-1], math.prod(shape)

    def rows(t: Mapping[str, Tensor], first: int, last: int) -> Tensor:
        begin, end = first * columns // size * size, min(-(-last * columns // size) * size, count)  # of whole blocks
        table = t["weight.quant_map"].float()
        pairs = torch.stack([table.repeat_interleave(16), table.repeat(16)], dim=1)
        packed = t["weight"].view(torch.uint8).reshape(-1)[begin // 2 : -(-end // 2)]
        values = pairs[packed.int()].view(-1)[: end - begin]
        here = slice(begin // size, -(-end // size))
        scale = t["weight.absmax"][here]
        if "weight.nested_absmax" in t:
            steps = t["weight.nested_quant_map"].float()[scale.int()]
            outer = torch.arange(here.start, here.stop) // told["nested_blocksize"]
            scale = steps * t["weight.nested_absmax"].float()[outer] + told.get("nested_offset", 0.0)
        scales = scale.float().view(-1, 1).expand(-1, size).reshape(-1)[: len(values)]
        return (values * scales)[first * columns - begin : last * columns - begin].view(-1, columns)

    return Reading(shape, {name: parts[name] for name in names}, rows)


def _scaled_by_row(t: Mapping[str, Tensor], first: int, last: int) -> Tensor:
    return t["weight"][first:last].float() * (t["SCB"][first:last].view(-1, 1) / 127)


def _gptq(parts: Mapping[str, StoredParameter], settings: Mapping[str, Any]) -> Reading:
    """Codes packed down the columns of [in, out]; each row of codes belongs to the group that g_idx tells."""
    bits, size = int(settings["bits"]), int(settings.get("group_size", -1))
    height, width = parts["qweight"].shape[0] * 32 // bits, parts["qweight"].shape[1]
    one_off = 0 if settings.get("checkpoint_format") == "gptq_v2" else 1  # the first format keeps zeros less one
    chosen = {part: parts[part] for part in ("qweight", "qzeros", "scales", "g_idx") if part in parts}

    def rows(t: Mapping[str, Tensor], first: int, last: int) -> Tensor:
        codes = unpack(t["qweight"][:, first:last].T.contiguous(), bits)
        zeros = unpack(t["qzeros"], bits)[:, first:last] + one_off
        zeros = zeros & ((1 << bits) - 1) if one_off else zeros
        group = t["g_idx"].long() if "g_idx" in t else torch.arange(height) // (size if size > 0 else height)
        return t["scales"][:, first:last].float()[group].T * (codes - zeros[group].T)

    return Reading((width, height), chosen, rows)


def _awq(parts: Mapping[str, StoredParameter], settings: Mapping[str, Any]) -> Reading | None:
    """Codes packed along the rows of [in, out], eight in an order of their own."""
    if str(settings.get("version", "gemm")).lower() != "gemm" or int(settings.get("bits", 4)) != 4:
        return None
    height, width = parts["qweight"].shape[0], parts["qweight"].shape[1] * 8
    chosen = {part: parts[part] for part in ("qweight", "qzeros", "scales")}

    def rows(t: Mapping[str, Tensor], first: int, last: int) -> Tensor:
        here = slice(first // 8, -(-last // 8))
        codes, zeros = (_in_order(unpack(t[part][:, here].contiguous(), 4)) for part in ("qweight", "qzeros"))
        group = torch.arange(height) // (height // len(zeros))
        return (t["scales"][:, first:last].float()[group] * (codes - zeros[group])).T

    return Reading((width, height), chosen, rows)


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

    def rows(t: Mapping[str, Tensor], first: int, last: int) -> Tensor:
        codes = unpack(t["weight_packed"][first:last], bits)[:, : shape[1]] - half
        whole = t["weight_scale"]
        groups = t.get("weight_g_idx")
        if groups is None or (groups < 0).any():
            groups = torch.arange(shape[1]) // (shape[1] // whole.shape[1])
        chosen = groups.long()
        if "weight_zero_point" in t:
            zero = t["weight_zero_point"]
            if zero.dtype == torch.int32:
                zero = unpack(zero.T.contiguous(), bits).T[: len(whole)] - half
            codes = codes - zero[first:last].int()[:, chosen]
        return codes * whole[first:last].float()[:, chosen]

    return Reading(shape, {name: parts[name] for name in names if name in parts}, rows)


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

    def rows(t: Mapping[str, Tensor], first: int, last: int) -> Tensor:
        values = t[codes].reshape(-1, shape[-1])[first:last].float()
        if zero in t:
            values = values - _spread(t[zero], shape, block, first, last)
        return values * _spread(t[scale], shape, block, first, last)

    return Reading(shape, {part: parts[part] for part in (codes, scale, zero) if part in parts}, rows)


def _spread(scale: Tensor, shape: tuple[int, ...], block: Any, first: int, last: int) -> Tensor:
    """A scale for every number of some rows, as far as broadcasting does not do it."""
    scale = scale.float()
    if scale.numel() == 1:
        return scale.reshape(())
    scale = scale.unsqueeze(-1) if scale.dim() < len(shape) else scale
    high, wide = (
        1 if count == 1 else int(block[dim] if block else -(-shape[dim] // count))
        for dim, count in ((-2, scale.shape[-2]), (-1, scale.shape[-1]))
    )
    at = torch.arange(first, last)  # of all matrices, where the weight is a stack
    matrix, row = at // shape[-2], at % shape[-2]
    row = row // high if scale.shape[-2] > 1 else torch.zeros_like(row)
    chosen = scale.reshape(-1, scale.shape[-2], scale.shape[-1])[matrix, row]
    return chosen.repeat_interleave(wide, dim=1)[:, : shape[-1]] if scale.shape[-1] > 1 else chosen


def unpack(packed: Tensor, bits: int) -> Tensor:
    """int32 [n, k] → int32 [n, k · 32 / bits], each value's bits one after the other from the lowest up, across the
    borders of numbers where `bits` does not divide 32."""
    if 32 % bits == 0:
        return ((packed.unsqueeze(-1) >> torch.arange(0, 32, bits, dtype=torch.int32)) & ((1 << bits) - 1)).flatten(1)
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
