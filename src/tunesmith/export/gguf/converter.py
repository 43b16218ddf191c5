"""Architectures without a table here, by way of llama.cpp's own converter where the user has it.

The converter wants a folder with the merged weights and makes one unquantized file of it; both lie in a folder aside
that goes at the end. What is quantized then is quantized by the same code as all other files.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import torch
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFValueType
from torch import Tensor

from tunesmith.errors import UserError
from tunesmith.export.checkpoint import write_checkpoint
from tunesmith.export.gguf.mixes import Facts, Mix
from tunesmith.export.gguf.writer import FileLayout, Planned, Quantize
from tunesmith.export.target import told_plainly
from tunesmith.export.weights import Source
from tunesmith.models.gguf.file import GGUFFile, open_gguf

SCRIPT = "convert_hf_to_gguf.py"
PLACE = "LLAMA_CPP_DIR"
_PREFIX = "tunesmith-convert-"
_TYPES = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}
_LINES_TOLD = 3
# What no program quantizes, beside what every model has (`tensor_allows_quantization` in llama-quant.cpp).
_EXACT = re.compile(
    "position_embd|token_types|conv1d|shortconv.conv|time_mix|altup|laurel|per_layer_model_proj|attn_rel_b"
)
Report = Callable[[int, int], None]


def find_converter() -> Path | None:
    """llama.cpp's converter: in the folder that LLAMA_CPP_DIR names, or on PATH. UserError where that folder has none.

    It is a program of the user's that will run here, so that nothing else is searched.
    """
    named = os.environ.get(PLACE, "").strip()
    if named:
        script = Path(named).expanduser() / SCRIPT
        if not script.is_file():
            raise UserError(
                f"{PLACE} is {named}, and there is no {SCRIPT} in it.", hint="Name the folder of llama.cpp's source."
            )
        return script
    found = next((Path(folder) / SCRIPT for folder in os.get_exec_path() if (Path(folder) / SCRIPT).is_file()), None)
    return found and found.absolute()


@contextmanager
def converted(source: Source, folder: Path, script: Path, *, name: str, report: Report) -> Iterator[Path]:
    """The model as one unquantized GGUF file, beside `folder`; it goes when the context ends.

    report: of the merge. UserError with the converter's own last words where it fails.
    """
    with told_plainly(folder):
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        aside = tempfile.TemporaryDirectory(prefix=f".{_PREFIX}", dir=folder.absolute().parent)
    with aside as place:
        merged, whole = Path(place) / "merged", Path(place) / "whole.gguf"
        write_checkpoint(source, merged, shard_bytes=5_000_000_000, report=report)
        floating = max((w for w in source.weights if w.dtype.is_floating_point), key=lambda w: w.nbytes)
        kind = _TYPES.get(floating.dtype, "f32")
        run_converter(script, merged, whole, kind=kind, name=name)
        shutil.rmtree(merged)  # the disk may need its place for what comes
        yield whole


def run_converter(script: Path, folder: Path, path: Path, *, kind: str, name: str) -> None:
    """Run the converter on a folder. kind: f32, f16 or bf16. UserError with its last words where it fails."""
    beside = script.parent / ("python.exe" if os.name == "nt" else "python")  # of the environment that it lies in
    interpreter = beside if beside.is_file() else Path(sys.executable)
    command = [str(interpreter), str(script), str(folder), "--outfile", str(path), "--outtype", kind]
    command += ["--model-name", name]
    ran = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
    if ran.returncode or not path.is_file():
        lines = [line.strip() for line in (ran.stderr or ran.stdout).splitlines() if line.strip()]
        raise UserError(
            f"llama.cpp's converter could not convert the model: {' / '.join(lines[-_LINES_TOLD:]) or 'no word'}",
            hint=f"A newer llama.cpp may know the architecture; the one that ran is {script}.",
        )


def requantize(
    whole: Path, path: Path, mix: Mix, *, quantize: Quantize, importance: Mapping[str, Tensor] | None = None,
    report: Report = lambda done, total: None,
) -> None:  # fmt: skip
    """An unquantized GGUF file with its weights in another mix, all else as it is."""
    file = open_gguf(whole)
    tensors = [Planned(each.name, each.shape, ()) for each in file.tensors.values()]
    kinds = mix.kinds([(each.name, each.shape) for each in tensors], _facts(file), importance=bool(importance))
    kinds |= {each.name: Kind.F32 for each in tensors if _EXACT.search(each.name)}
    layout = FileLayout(file.architecture, tensors, kinds, partial(_rows, file))
    fields = _fields(whole) | {"general.file_type": (int(mix.file_type), GGUFValueType.UINT32)}
    layout.write(path, fields, quantize, importance=importance or {}, report=report)


def estimated_bytes(mixes: Sequence[Mix], source: Source) -> list[int]:
    """About how large the files will be; the tensors' names in GGUF are not known before they are there."""
    count = sum(weight.nbytes // weight.dtype.itemsize for weight in source.weights)
    return [count * size // block for block, size in (gguf.GGML_QUANT_SIZES[mix.base] for mix in mixes)]


def _rows(file: GGUFFile, tensor: Planned) -> Iterator[Tensor]:
    yield from map(torch.from_numpy, file.rows_of(tensor.name))


def _fields(path: Path) -> dict[str, tuple[Any, ...]]:
    """Every key of a file as it is written again; those of the format itself are the writer's."""
    found = (field for field in gguf.GGUFReader(path).fields.values() if not field.name.startswith("GGUF."))
    return {field.name: (field.contents(), *field.types) for field in found if field.name != "general.architecture"}


def _facts(file: GGUFFile) -> Facts:
    def told(key: str, otherwise: int = 0) -> int:
        value = file.metadata.get(f"{file.architecture}.{key}", otherwise)
        return int(max(value, default=otherwise) if isinstance(value, list) else value)

    heads = told("attention.head_count")
    return Facts(told("block_count"), heads, told("attention.head_count_kv", heads), told("expert_count"))
