"""Tunesmith's quantizers beside llama.cpp's C code, called in this process: the same rows, in turn, on one thread."""

import ctypes
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import gguf
import numpy as np
import torch
from fetch import npm_pack
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize

from tunesmith.export.gguf.mixes import Facts, resolve
from tunesmith.export.gguf.quants import quantize

LLAMA_CPP = "@node-llama-cpp/linux-x64@3.22.1"  # llama.cpp v0.5.0, built for any x86-64 processor
KINDS = ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
MIXES = ("q8_0", "q4_0", "q4_k_m")
ROWS, COLUMNS = 1024, 2048
# A model of 45 million weights: in shape a small llama, so that a mix meets all classes of tensors.
LAYERS, WIDTH, INNER, HEADS, VOCABULARY = 12, 512, 1536, 8, 8192


@dataclass(frozen=True)
class Pace:
    """MB of float32 weights per CPU second, theirs and ours, and per second of wall on all cores, 0 if not measured."""

    theirs: float
    ours: float
    wall_theirs: float = 0
    wall_ours: float = 0
    error: float = 1  # our root mean square error over theirs

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs


@dataclass(frozen=True)
class QuantizeFigures:
    """By name of type, rows alone without and with an importance matrix; by name of mix, a whole file to a file."""

    runs: int
    plain: dict[str, Pace]
    weighted: dict[str, Pace]
    files: dict[str, Pace]


def measure_quantize(work: Path, *, runs: int = 3) -> QuantizeFigures:
    """Medians of `runs` runs in turn, after one of each that is not counted."""
    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    try:
        torch.set_num_threads(1)
        oracle = _Oracle(_libraries(work))
        generator = torch.Generator().manual_seed(0)
        rows = torch.randn(ROWS, COLUMNS, generator=generator) * 0.02
        importance = torch.rand(COLUMNS, generator=generator) + 0.1
        plain = {name: _pace_of_rows(oracle, rows, Kind[name], None, runs) for name in KINDS}
        weighted = {name: _pace_of_rows(oracle, rows, Kind[name], importance, runs) for name in KINDS[1:]}
        source = _model(work / "quantize" / "f32.gguf")
        files = {name: _pace_of_file(oracle, source, name, runs, cores) for name in MIXES}
    finally:
        torch.set_num_threads(threads)
    return QuantizeFigures(runs, plain, weighted, files)


def _pace_of_rows(oracle: "_Oracle", rows: torch.Tensor, kind: Kind, importance: torch.Tensor | None,
                  runs: int) -> Pace:  # fmt: skip
    seconds = _in_turn([lambda: oracle.rows(rows, kind, importance), lambda: quantize(rows, kind, importance)], runs)
    stored = oracle.rows(rows, kind, importance), quantize(rows, kind, importance).numpy()
    theirs, ours = (float(np.sqrt(np.average(np.square(dequantize(one, kind) - rows.numpy()).mean(0),
                                             weights=importance))) for one in stored)  # fmt: skip
    size = rows.nbytes / 1e6
    return Pace(size / seconds[0].cpu, size / seconds[1].cpu, error=ours / theirs)


def _pace_of_file(oracle: "_Oracle", source: Path, name: str, runs: int, cores: int) -> Pace:
    size = source.stat().st_size / 1e6
    target, mix = source.with_name("quantized.gguf"), resolve(name)

    def ours(threads: int) -> None:
        torch.set_num_threads(threads)
        facts = Facts(LAYERS, HEADS, HEADS)
        tensors = [(tensor.name, tensor.data) for tensor in gguf.GGUFReader(source).tensors]
        kinds = mix.kinds([(one, data.shape) for one, data in tensors], facts)
        with target.open("wb") as file:
            for one, data in tensors:
                rows = torch.from_numpy(np.array(data)).reshape(-1, data.shape[-1])
                file.write(quantize(rows, kinds[one]).numpy().tobytes())
        torch.set_num_threads(1)

    alone = _in_turn([lambda: oracle.file(source, target, mix.file_type, 1), lambda: ours(1)], runs)
    together = _in_turn([lambda: oracle.file(source, target, mix.file_type, cores), lambda: ours(cores)], runs)
    return Pace(size / alone[0].cpu, size / alone[1].cpu, size / together[0].wall, size / together[1].wall)


@dataclass(frozen=True)
class _Time:
    wall: float
    cpu: float


def _in_turn(calls: list[Callable[[], object]], runs: int) -> list[_Time]:
    """Median seconds of each call. CPU time counts all threads of this process, which does nothing else."""
    seen: list[list[_Time]] = [[] for _ in calls]
    for number in range(runs + 1):
        for call, times in zip(calls, seen, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            if number:
                times.append(_Time(time.perf_counter() - wall, time.process_time() - cpu))
    return [_Time(median(t.wall for t in times), median(t.cpu for t in times)) for times in seen]


def _model(path: Path) -> Path:
    """A llama with random weights in float32."""
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(VOCABULARY)
    generator = np.random.default_rng(0)
    for name, shape in _shapes():
        writer.add_tensor(name, generator.standard_normal(shape, np.float32) * np.float32(0.02))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from ((f"{name}.weight", (VOCABULARY, WIDTH)) for name in ("token_embd", "output"))
    yield "output_norm.weight", (WIDTH,)
    for i in range(LAYERS):
        yield from ((f"blk.{i}.attn_{name}.weight", (WIDTH, WIDTH)) for name in ("q", "k", "v", "output"))
        yield from ((f"blk.{i}.ffn_{name}.weight", (INNER, WIDTH)) for name in ("gate", "up"))
        yield f"blk.{i}.ffn_down.weight", (WIDTH, INNER)
        yield from ((f"blk.{i}.{name}_norm.weight", (WIDTH,)) for name in ("attn", "ffn"))


def _libraries(work: Path) -> Path:
    folder = work / "llama_cpp"
    if not (folder / "libllama.v0.5.0.so").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(npm_pack(LLAMA_CPP, work / "downloads")) as archive:
            for member in archive.getmembers():
                if (content := archive.extractfile(member)) and ".so" in member.name:
                    (folder / Path(member.name).name).write_bytes(content.read())
    return folder


class _Settings(ctypes.Structure):
    """llama_model_quantize_params: its beginning, and room for the rest."""

    _fields_ = (("nthread", c_int32), ("ftype", c_int32), ("rest", c_int64 * 60))


_LOG = ctypes.CFUNCTYPE(None, c_int32, c_char_p, c_void_p)


class _Oracle:
    """llama.cpp through ctypes."""

    def __init__(self, folder: Path) -> None:
        self.ggml: Any = ctypes.CDLL(str(folder / "libggml-base.so"))
        self.ggml.ggml_quantize_chunk.argtypes = [c_int32, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_void_p]
        self.ggml.ggml_quantize_chunk.restype = c_size_t
        self.llama: Any = ctypes.CDLL(str(folder / "libllama.v0.5.0.so"))
        self.llama.llama_model_quantize_default_params.restype = _Settings
        self.llama.llama_model_quantize.argtypes = [c_char_p, c_char_p, POINTER(_Settings)]
        self.llama.llama_model_quantize.restype = c_uint32
        self.silence = _LOG(lambda level, text, data: None)
        self.llama.llama_log_set(self.silence, None)
        self.llama.llama_backend_init()

    def rows(self, rows: torch.Tensor, kind: Kind, importance: torch.Tensor | None) -> np.ndarray:
        n, k = rows.shape
        block, size = gguf.GGML_QUANT_SIZES[kind]
        out = np.empty((n, k // block * size), np.uint8)
        weights = None if importance is None else importance.data_ptr()
        self.ggml.ggml_quantize_chunk(kind, rows.data_ptr(), out.ctypes.data, 0, n, k, weights)
        return out

    def file(self, source: Path, target: Path, file_type: int, threads: int) -> None:
        settings = self.llama.llama_model_quantize_default_params()
        settings.nthread, settings.ftype = threads, file_type
        code = self.llama.llama_model_quantize(str(source).encode(), str(target).encode(), byref(settings))
        assert code == 0, f"llama_model_quantize ended with {code}"
