"""A GGUF file opened: its metadata and where its tensors lie. No torch.

Written here because the `gguf` package's own reader maps the whole file and keeps an array object per token: 2.2 s and
158 MB for a 49k vocabulary against 0.1 s and 11 MB. Types, block sizes and dequantization are its.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType
from gguf.quants import dequantize

from tunesmith.errors import UserError

FIELD = "model_name_or_path"

_SCALARS = {
    GGUFValueType.UINT8: "u1",
    GGUFValueType.INT8: "i1",
    GGUFValueType.UINT16: "<u2",
    GGUFValueType.INT16: "<i2",
    GGUFValueType.UINT32: "<u4",
    GGUFValueType.INT32: "<i4",
    GGUFValueType.FLOAT32: "<f4",
    GGUFValueType.BOOL: "?",
    GGUFValueType.UINT64: "<u8",
    GGUFValueType.INT64: "<i8",
    GGUFValueType.FLOAT64: "<f8",
}
_VERSIONS = (2, 3)
_MOST_DIMENSIONS = 4
# What reading bytes as the header they are not comes to: unknown types, absurd lengths, text that is none.
_NONSENSE = (ValueError, TypeError, ArithmeticError, MemoryError, RecursionError)
_SMALL = 4096
_KEPT: ContextVar[dict[Path, GGUFFile] | None] = ContextVar("headers_kept", default=None)
_ROWS_BYTES = 4 << 20  # quantized bytes dequantized at once; the float32 form is up to 16 times as large


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """shape: in torch's order, rows first. start: bytes from the file's start. kind: how it is quantized."""

    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    start: int

    @property
    def row_bytes(self) -> int:
        block, size = GGML_QUANT_SIZES[self.kind]
        return self.shape[-1] // block * size

    @property
    def rows(self) -> int:
        return math.prod(self.shape[:-1])


@dataclass(frozen=True, slots=True)
class GGUFFile:
    """metadata: every key with its value as Python has it. fingerprint: hash of the header and the size."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, StoredTensor]
    fingerprint: str

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    def rows_of(self, name: str, first: int = 0, last: int | None = None) -> Iterator[np.ndarray]:
        """The tensor, dequantized, as float32 blocks of its rows [n, shape[-1]], so that memory stays small.

        first, last: the rows wanted, last not included.
        """
        tensor = self.tensors[name]
        last = tensor.rows if last is None else last
        step = max(1, _ROWS_BYTES // tensor.row_bytes)
        with self.path.open("rb") as file:
            file.seek(tensor.start + first * tensor.row_bytes)
            for start in range(first, last, step):
                count = min(step, last - start)
                block = np.frombuffer(bytearray(file.read(count * tensor.row_bytes)), dtype=np.uint8)
                yield dequantize(block.reshape(count, tensor.row_bytes), tensor.kind)


@contextmanager
def headers_kept() -> Iterator[None]:
    """Within it each file is read once by `open_gguf`: for what asks several times and writes nothing."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def open_gguf(path: Path) -> GGUFFile:
    """Read the header. UserError for another format, a file cut short, or one part of a split file."""
    kept = _KEPT.get()
    if kept is None:
        return _read(path)
    if path not in kept:
        kept[path] = _read(path)
    return kept[path]


def _read(path: Path) -> GGUFFile:
    try:
        return _open(path)
    except (struct.error, EOFError) as error:
        raise _damaged(path, "it ends in the middle of its header") from error
    except _NONSENSE as error:
        raise _damaged(path, "its header makes no sense") from error


def _open(path: Path) -> GGUFFile:
    with path.open("rb") as file:
        magic, version, tensor_count, key_count = struct.unpack("<4sIQQ", file.read(24))
        if magic != b"GGUF":
            raise UserError(f"{path} is not a GGUF file.", hint="Download it again.", field=FIELD)
        if version not in _VERSIONS:
            raise UserError(
                f"{path} is GGUF version {version}; versions 2 and 3 (little-endian) are read.",
                hint="Convert the model again with a current converter.",
                field=FIELD,
            )
        metadata = {_string(file): _value(file, GGUFValueType(_number(file, "I"))) for _ in range(key_count)}
        if metadata.get("split.count", 0) > 1:
            raise UserError(
                f"{path} is one of {metadata['split.count']} parts of a model.",
                hint="Join them first: llama-gguf-split --merge FIRST_PART WHOLE.gguf",
                field=FIELD,
            )
        infos = [_tensor_info(file) for _ in range(tensor_count)]
        header_end = file.tell()
        alignment = metadata.get("general.alignment", 32)
        data_start = -(-header_end // alignment) * alignment
        tensors = {
            name: StoredTensor(name, shape, _kind(path, name, kind), data_start + offset)
            for name, shape, kind, offset in infos
        }
        file.seek(0)
        digest = hashlib.sha256(file.read(header_end))
    size = path.stat().st_size
    for tensor in tensors.values():
        if tensor.shape[-1] % GGML_QUANT_SIZES[tensor.kind][0] or not all(tensor.shape):
            raise _damaged(path, f"{tensor.name} has an impossible shape")
        if tensor.start + tensor.rows * tensor.row_bytes > size:
            raise _damaged(path, f"it is cut short, {tensor.name} is not whole")
    digest.update(str(size).encode())
    return GGUFFile(path, metadata, tensors, digest.hexdigest())


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"{path} is damaged: {why}.", hint="Download or copy it again.", field=FIELD)


def _kind(path: Path, name: str, kind: int) -> GGMLQuantizationType:
    try:
        return GGMLQuantizationType(kind)
    except ValueError as error:
        raise UserError(
            f"{path}: {name} is quantized in a way (type {kind}) that the installed gguf package does not know.",
            hint="Update it with `pip install -U gguf`, or take another quantization of the model.",
            field=FIELD,
        ) from error


def _tensor_info(file: BinaryIO) -> tuple[str, tuple[int, ...], int, int]:
    name = _string(file)
    dimensions = _number(file, "I")
    if dimensions > _MOST_DIMENSIONS:
        raise ValueError(f"{name} has {dimensions} dimensions")
    shape = struct.unpack(f"<{dimensions}Q", _bytes(file, 8 * dimensions))
    return name, tuple(reversed(shape)) or (1,), _number(file, "I"), _number(file, "Q")


def _number(file: BinaryIO, form: str) -> int:
    form = "<" + form
    return int(struct.unpack(form, _bytes(file, struct.calcsize(form)))[0])


def _string(file: BinaryIO) -> str:
    return _bytes(file, _number(file, "Q")).decode("utf-8")


def _bytes(file: BinaryIO, count: int) -> bytes:
    """Exactly so many; a length that the file can't have is not even asked for, since memory would be taken for it."""
    if count > _SMALL and count > os.fstat(file.fileno()).st_size - file.tell():
        raise EOFError
    found = file.read(count)
    if len(found) < count:
        raise EOFError
    return found


def _value(file: BinaryIO, kind: GGUFValueType) -> Any:
    if kind is GGUFValueType.STRING:
        return _string(file)
    if kind is GGUFValueType.ARRAY:
        item, count = GGUFValueType(_number(file, "I")), _number(file, "Q")
        if item in _SCALARS:
            return _scalars(file, item, count)
        return [_value(file, item) for _ in range(count)]
    return _scalars(file, kind, 1)[0]


def _scalars(file: BinaryIO, kind: GGUFValueType, count: int) -> list[Any]:
    dtype = np.dtype(_SCALARS[kind])
    values = np.frombuffer(_bytes(file, dtype.itemsize * count), dtype=dtype)
    if kind is GGUFValueType.FLOAT32:  # 1e-5 and not 9.999999747378752e-06: the shortest number that rounds to the same
        return [float(str(value)) for value in values]
    return list(values.tolist())
