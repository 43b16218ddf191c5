"""A model written as one GGUF file in one pass: header first, then tensor after tensor, none kept."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import gguf
import numpy as np
from gguf import GGMLQuantizationType

from tunesmith.errors import UserError
from tunesmith.export.gguf.metadata import general_metadata, model_metadata, settle, text_part
from tunesmith.export.gguf.mixes import must_be_exact
from tunesmith.export.gguf.vocabulary import model_name, vocabulary
from tunesmith.export.target import clear_leftovers, told_plainly
from tunesmith.export.weights import Source, Weight
from tunesmith.models.gguf.architecture import Architecture, architecture_for, rotary_size
from tunesmith.models.gguf.rope import rope_tensors

if TYPE_CHECKING:
    from torch import Tensor

Kinds = Mapping[str, GGMLQuantizationType] | Callable[[str, tuple[int, ...]], GGMLQuantizationType]
"""The type that each GGUF tensor, of name and shape, is stored in."""

Quantize = Callable[..., Any]
"""quantize(rows float32 [n, k], kind, importance=None | float32 [k]) → bytes uint8 [n, row_bytes], Tensor or array."""

_ALIGNMENT = 32
_BLOCK = 8 << 20  # elements quantized at once
_DERIVED = ("rotary_emb.inv_freq", "masked_bias", "attn.bias")  # buffers that old checkpoints hold


class Share(NamedTuple):
    """What a GGUF tensor takes from a weight: one of `parts` equal shares of its rows."""

    weight: Weight
    part: int
    parts: int


@dataclass(frozen=True, slots=True)
class Planned:
    """A GGUF tensor not written yet. shape: in torch's order. shares: its parts in order, several for a stack."""

    name: str
    shape: tuple[int, ...]
    shares: tuple[Share, ...]


def plan(source: Source) -> list[Planned]:
    """The GGUF tensors of a model in the file's order: by layer, those of no layer first.

    UserError where there is no table for the architecture, or names and table don't fit.
    """
    source = text_part(source)
    return _plan(source, architecture_for(source.config.get("model_type", "")), settle(source.config))


def check_expressible(source: Source, pre: str | None = None) -> None:
    """UserError where `write_gguf` would refuse the configuration or the tokenizer; no weight is read."""
    source = text_part(source)
    table, config = architecture_for(source.config.get("model_type", "")), settle(source.config)
    shapes = {each.name: each.shape for each in _plan(source, table, config)}
    model_metadata(table, config)
    vocabulary(source.folder, shapes["token_embd.weight"][0], pre=pre)


def write_gguf(
    source: Source,
    path: Path,
    *,
    kinds: Kinds,
    quantize: Quantize,
    file_type: gguf.LlamaFileType,
    report: Callable[[int, int], None] = lambda done, total: None,
    importance: Mapping[str, Tensor] | None = None,
    name: str = "",
    pre: str | None = None,
) -> None:
    """Write `path`; half a file is never seen under that name.

    kinds: per tensor of `plan`; small tensors that llama.cpp wants exact are float32 whatever it says. file_type: what
    the mix is called. report(bytes written, bytes in all). importance: float32 [columns] by GGUF name. pre: GGUF's name
    of how words are cut. Memory: the largest weight, twice where its layout changes, and a float32 block of 32 MB.
    UserError for what GGUF can't express, a full disk and missing rights.
    """
    source = text_part(source)
    table, config = architecture_for(source.config.get("model_type", "")), settle(source.config)
    tensors = _plan(source, table, config)
    shapes = {each.name: each.shape for each in tensors}
    fields = {
        **general_metadata(source, model_name(source.folder, name or path.stem), file_type, shapes),
        **model_metadata(table, config),
        **vocabulary(source.folder, shapes["token_embd.weight"][0], pre=pre),
    }
    derived = rope_tensors(config["rope_parameters"], rotary_size(config))
    stored = {each.name: _kind(each, kinds) for each in tensors}
    made = FileLayout(table.name, tensors, stored, partial(_blocks, table, config), derived)
    made.write(path, fields, quantize, importance=importance or {}, report=report)


@dataclass(frozen=True)
class FileLayout:
    """A file about to be written. tensors: in its order. kinds: by their names. blocks: a tensor in GGUF's layout as
    float32 blocks of its rows [n, columns]. derived: tensors that are no weights of the model; they come first."""

    architecture: str
    tensors: Sequence[Planned]
    kinds: Mapping[str, GGMLQuantizationType]
    blocks: Callable[[Planned], Iterator[Tensor]]
    derived: Mapping[str, np.ndarray] = field(default_factory=dict)

    def write(
        self,
        path: Path,
        fields: Mapping[str, tuple[Any, ...]],
        quantize: Quantize,
        *,
        importance: Mapping[str, Tensor],
        report: Callable[[int, int], None],
    ) -> None:
        """The whole file under its name, or nothing. fields: value and type by key, of a list its items' type too.

        UserError for a full disk and missing rights."""
        aside = path.with_name(f".{path.name}.{os.getpid()}.part")
        with told_plainly(path):
            clear_leftovers(path)
            try:
                self._write_header(aside, fields)
                with aside.open("ab") as file:
                    self._write_tensors(file, quantize, importance, report)
                    file.flush()
                    os.fsync(file.fileno())
                aside.replace(path)
            finally:
                with suppress(OSError):
                    aside.unlink(missing_ok=True)

    def _size(self, tensor: Planned) -> int:
        block, size = gguf.GGML_QUANT_SIZES[self.kinds[tensor.name]]
        return math.prod(tensor.shape) // block * size

    def _write_header(self, path: Path, fields: Mapping[str, tuple[Any, ...]]) -> None:
        writer, float32 = gguf.GGUFWriter(path, self.architecture), np.dtype(np.float32)
        for key, told in fields.items():
            writer.add_key_value(key, *told)
        for name, values in self.derived.items():
            writer.add_tensor_info(name, values.shape, float32, values.nbytes, GGMLQuantizationType.F32)
        for each in self.tensors:
            writer.add_tensor_info(each.name, each.shape, float32, self._size(each), self.kinds[each.name])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()

    def _write_tensors(
        self,
        file: BinaryIO,
        quantize: Quantize,
        importance: Mapping[str, Tensor],
        report: Callable[[int, int], None],
    ) -> None:
        """Every tensor where the header says it lies: each begins at a multiple of the alignment."""
        _pad(file)
        for values in self.derived.values():
            file.write(values.tobytes())
            _pad(file)
        total, done = sum(map(self._size, self.tensors)), 0
        for each in self.tensors:
            written = 0
            for rows in self.blocks(each):
                stored = quantize(rows, self.kinds[each.name], importance=importance.get(each.name))
                written += file.write(np.ascontiguousarray(stored).tobytes())
                report(done + written, total)
            done += written
            assert written == self._size(each), f"{each.name} takes {written} bytes, not {self._size(each)}"
            _pad(file)


def _blocks(table: Architecture, config: Mapping[str, Any], tensor: Planned) -> Iterator[Tensor]:
    """A tensor out of the weights that it is made of."""
    for weight, part, parts in tensor.shares:
        values = table.to_gguf(weight.name, weight.read(), config)
        for matrix in values if values.dim() == 3 else [values.reshape(-1, values.shape[-1])]:
            rows = matrix.chunk(parts)[part]
            for block in rows.split(max(1, _BLOCK // rows.shape[-1])):
                yield block.float()


def _kind(tensor: Planned, kinds: Kinds) -> GGMLQuantizationType:
    if must_be_exact(tensor.name, tensor.shape):
        return GGMLQuantizationType.F32
    kind = kinds(tensor.name, tensor.shape) if callable(kinds) else kinds[tensor.name]
    assert tensor.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] == 0, f"{tensor.name} {tensor.shape} can't be {kind.name}"
    return kind


def _plan(source: Source, table: Architecture, config: Mapping[str, Any]) -> list[Planned]:
    found: dict[str, dict[int, Share]] = {}
    tied, lost = bool(config.get("tie_word_embeddings")), []
    for weight in source.weights:
        if weight.name.endswith(_DERIVED) or (tied and weight.name == "lm_head.weight"):
            continue
        places = table.places(weight.name)
        if not places:
            lost.append(weight.name)
        for place in places:
            found.setdefault(place.gguf, {})[place.expert or 0] = Share(weight, place.part, place.parts)
    if lost:
        raise UserError(
            f"{len(lost)} weights have no place in a {table.name} model as GGUF knows it, for example {lost[0]}.",
            hint="Convert the merged folder with llama.cpp's own convert_hf_to_gguf.py.",
        )
    missing = [name for name in table.names(config["num_hidden_layers"]) if name not in found]
    missing = [name for name in missing if not (tied and name == "output.weight")]
    short = [name for name, shares in found.items() if sorted(shares) != list(range(len(shares)))]
    if missing or short:
        raise UserError(
            f"The model's weights are not whole: {(missing + short)[0]} can't be made of them.",
            hint="Download or merge the model again.",
        )
    planned = [_planned(name, [shares[i] for i in sorted(shares)]) for name, shares in found.items()]
    order = {name: i for i, name in enumerate(dict.fromkeys(table.modules.values()))}
    return sorted(planned, key=lambda tensor: _rank(tensor.name, order))


def _planned(name: str, shares: list[Share]) -> Planned:
    shape = shares[0].weight.shape
    if (parts := shares[0].parts) > 1:
        shape = (*shape[:-2], shape[-2] // parts, shape[-1])
    is_stack = "_exps." in name and len(shape) == 2
    return Planned(name, (len(shares), *shape) if is_stack else shape, tuple(shares))


def _rank(name: str, order: Mapping[str, int]) -> tuple[int, int, str]:
    """By layer, then as the table has them: the same file in whatever order weights come."""
    module, _, leaf = name.rpartition(".")
    layer = int(module.split(".")[1]) if module.startswith("blk.") else -1
    return layer, order[module.replace(f"blk.{layer}.", "blk.{}.", 1)], leaf


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % _ALIGNMENT))
