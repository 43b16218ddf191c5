"""llama.cpp's own quantizers, called through ctypes: the oracle of the tests of quants and mixes."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Mapping
from ctypes import POINTER, c_char_p, c_float, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from tests.assets import llama_cpp

AVAILABLE = sys.platform == "linux" and platform.machine() == "x86_64"


class _Importance(ctypes.Structure):
    """llama_model_imatrix_data."""

    _fields_ = (("name", c_char_p), ("data", POINTER(c_float)), ("size", c_size_t))


class _Settings(ctypes.Structure):
    """llama_model_quantize_params: its beginning, and room for the rest of it."""

    _fields_ = (
        ("nthread", c_int32),
        ("ftype", c_int32),
        ("types_and_flags", c_int32 * 4),
        ("imatrix", POINTER(_Importance)),
        ("rest", c_int64 * 60),
    )


def quantize_rows(
    rows: np.ndarray, kind: gguf.GGMLQuantizationType, importance: np.ndarray | None = None
) -> np.ndarray:
    """float32 [n, k] to uint8 [n, row_bytes]; importance float32 [k]."""
    n, k = rows.shape
    block, size = gguf.GGML_QUANT_SIZES[kind]
    out = np.empty((n, k // block * size), np.uint8)
    weights = None if importance is None else importance.ctypes.data
    written = _ggml().ggml_quantize_chunk(int(kind), rows.ctypes.data, out.ctypes.data, 0, n, k, weights)
    assert written == out.nbytes
    return out


def quantize_file(
    source: Path, target: Path, file_type: int, importance: Mapping[str, np.ndarray] | None = None
) -> bool:
    """What llama-quantize does; False where it refuses. importance: float32 [columns] by tensor."""
    settings = _llama().llama_model_quantize_default_params()
    settings.nthread, settings.ftype = 1, file_type
    if importance:
        entries = (_Importance * (len(importance) + 1))()
        for entry, (name, values) in zip(entries, importance.items(), strict=False):
            entry.name, entry.size = name.encode(), len(values)
            entry.data = values.ctypes.data_as(POINTER(c_float))
        settings.imatrix = entries
    return bool(_llama().llama_model_quantize(str(source).encode(), str(target).encode(), settings) == 0)


@cache
def _ggml() -> Any:
    library = ctypes.CDLL(str(llama_cpp() / "libggml-base.so"))
    library.ggml_quantize_chunk.restype = c_size_t
    library.ggml_quantize_chunk.argtypes = [c_int32, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_void_p]
    return library


@ctypes.CFUNCTYPE(None, c_int32, c_char_p, c_void_p)
def _silent(level: int, text: bytes, data: None) -> None:
    pass


@cache
def _llama() -> Any:
    library = ctypes.CDLL(str(llama_cpp() / "libllama.v0.5.0.so"))
    library.llama_model_quantize_default_params.restype = _Settings
    library.llama_model_quantize.argtypes = [c_char_p, c_char_p, POINTER(_Settings)]
    library.llama_model_quantize.restype = c_uint32
    library.llama_log_set(_silent, None)
    library.llama_backend_init()
    return library
