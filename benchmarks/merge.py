"""A LoRA adapter merged into models of growing size: each tool's export command on one and the same YAML file.

The models are made of random weights in the shapes of Qwen2 and Llama, written row by row, so that making them needs no
memory. Ours runs with export_verify=false: the other tool has nothing like its check.
"""

import json
import math
import os
import shutil
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import fetch
import measure
import settings
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from models import LORA_TARGETS

TOOLS = ("llamafactory", "tunesmith")
SHARD_BYTES = 2_000_000_000
CHUNK = 1 << 22  # values
COMPARED = 24  # tensors, spread over the model
BF16_BITS = 7  # of the fraction
KEPT_BYTES = 1_000_000_000  # a larger model is deleted in the end
PROCESS_MB = 600  # of the goal: memory at most this and twice the largest tensor


@dataclass(frozen=True)
class Shape:
    """The sizes of a model with tied embeddings and the vocabulary of Qwen3's tokenizer."""

    kind: str  # qwen2 (with biases on q, k, v) or llama
    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    intermediate: int
    vocabulary: int = 151_936

    def linears(self) -> dict[str, tuple[int, int]]:
        """Name in a layer → [out, in], in the order of LORA_TARGETS."""
        keys = self.hidden // self.heads * self.key_value_heads
        out = (self.hidden, keys, keys, self.hidden, self.intermediate, self.intermediate, self.hidden)
        block = ["self_attn"] * 4 + ["mlp"] * 3
        return {f"{place}.{name}": (rows, self.intermediate if name == "down_proj" else self.hidden)
                for place, name, rows in zip(block, LORA_TARGETS, out, strict=True)}  # fmt: skip

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield "model.embed_tokens.weight", (self.vocabulary, self.hidden)
        for i in range(self.layers):
            for name, (rows, columns) in self.linears().items():
                yield f"model.layers.{i}.{name}.weight", (rows, columns)
                if self.kind == "qwen2" and name.endswith(("q_proj", "k_proj", "v_proj")):
                    yield f"model.layers.{i}.{name}.bias", (rows,)
            for name in ("input_layernorm", "post_attention_layernorm"):
                yield f"model.layers.{i}.{name}.weight", (self.hidden,)
        yield "model.norm.weight", (self.hidden,)

    def config(self) -> dict[str, Any]:
        return {
            "architectures": [f"{self.kind.capitalize()}ForCausalLM"], "model_type": self.kind, "dtype": "bfloat16",
            "torch_dtype": "bfloat16", "vocab_size": self.vocabulary, "hidden_size": self.hidden, "hidden_act": "silu",
            "intermediate_size": self.intermediate, "num_hidden_layers": self.layers, "rms_norm_eps": 1e-6,
            "num_attention_heads": self.heads, "num_key_value_heads": self.key_value_heads, "rope_theta": 1_000_000.0,
            "max_position_embeddings": 32_768, "tie_word_embeddings": True, "initializer_range": 0.02,
            "bos_token_id": 151_643, "eos_token_id": 151_645, "pad_token_id": 151_643,
        }  # fmt: skip


SHAPES = {
    "m05": Shape("qwen2", hidden=768, layers=16, heads=12, key_value_heads=4, intermediate=3072),
    "m3": Shape("llama", hidden=2048, layers=20, heads=32, key_value_heads=8, intermediate=8192),
    "m6": Shape("qwen2", hidden=2048, layers=36, heads=16, key_value_heads=2, intermediate=11_008),
}


@dataclass(frozen=True)
class Export:
    """Seconds to the end of the command, and until the result lies on the disk; CPU seconds, peak memory."""

    wall: float
    durable: float
    cpu: float
    peak_mib: float


@dataclass(frozen=True)
class Agreement:
    """Both results beside one another. other_names: tensors that only one of them has, or in another shape or dtype.

    worst: largest gap of any value, in spacings of bf16 numbers there. equal: share of values with equal bits.
    moved: share of the linear layers' values that the adapter changed.
    """

    other_names: Sequence[str]
    tensors: int
    worst: float
    equal: float
    moved: float

    @property
    def holds(self) -> bool:
        return not self.other_names and self.worst <= 1 and self.moved > 0


@dataclass(frozen=True)
class MergeFigures:
    """One model: bytes of its weights and of the largest of them, medians by tool, how the results agree."""

    runs: int
    kind: str
    nbytes: int
    largest: int
    tools: Mapping[str, Export]
    agreement: Agreement

    def ratio(self, figure: Callable[[Export], float]) -> float:
        """Theirs over ours."""
        return figure(self.tools["llamafactory"]) / figure(self.tools["tunesmith"])

    @property
    def bound_mb(self) -> float:
        return PROCESS_MB + 2 * self.largest / 1e6

    @property
    def ours_mb(self) -> float:
        return self.tools["tunesmith"].peak_mib * 2**20 / 1e6


def measure_merge(commands: Mapping[str, Path], work: Path, *, quick: bool, runs: int) -> list[MergeFigures]:
    """Medians by model, `runs` runs of both tools in turn, after one of each on the smallest that is not counted."""
    place = work / "merge"
    found = []
    for name, shape in list(SHAPES.items())[: 1 if quick else None]:
        try:
            model, adapter = ensure_model(work, place / name, shape), ensure_adapter(place / name, shape)
            config = settings.write(work / "yaml" / f"merge_{name}.yaml", {
                "model_name_or_path": str(model), "adapter_name_or_path": str(adapter), "template": "qwen3_nothink",
                "export_dir": str(place / "out"), "export_size": 5, "export_device": "cpu",
            })  # fmt: skip
            exports = _in_turn(commands, work, place, config, model, runs=runs, rehearse=not found)
            agreement = compare(model, *(place / f"out_{tool}" for tool in TOOLS))
            sizes = [2 * math.prod(size) for _, size in shape.tensors()]
            found.append(MergeFigures(runs, shape.kind, sum(sizes), max(sizes), exports, agreement))
        finally:
            for folder in place.glob("*out*"):
                shutil.rmtree(folder)
            if sum(2 * math.prod(size) for _, size in shape.tensors()) > KEPT_BYTES:
                shutil.rmtree(place / name, ignore_errors=True)
                shutil.rmtree(place / f"{name}_adapter", ignore_errors=True)
    return found


def _in_turn(commands: Mapping[str, Path], work: Path, place: Path, config: Path, model: Path, *, runs: int,
             rehearse: bool) -> dict[str, Export]:  # fmt: skip
    """Medians by tool; each tool's last result is left in `out_<tool>`."""
    seen: dict[str, list[Export]] = {tool: [] for tool in TOOLS}
    for number in range(-1 if rehearse else 0, runs):
        for tool in TOOLS if number % 2 == 0 else TOOLS[::-1]:
            shutil.rmtree(place / f"out_{tool}", ignore_errors=True)
            export = _export(tool, commands[tool], work, config, model)
            (place / "out").rename(place / f"out_{tool}")
            if number >= 0:
                seen[tool].append(export)
                print(f"  {model.name} {tool}: {export.wall:.1f} s, {export.peak_mib:,.0f} MiB", flush=True)
    return {tool: Export(*(median(getattr(one, name) for one in exports) for name in Export.__dataclass_fields__))
            for tool, exports in seen.items()}  # fmt: skip


def _export(tool: str, command: Path, work: Path, config: Path, model: Path) -> Export:
    """One export. It finds the model in the page cache and a disk at rest; nothing of the last one waits to be written.

    Ours returns when the result is on the disk, theirs when the kernel has it; so both are also timed to that point.
    """
    os.sync()
    for shard in model.glob("*.safetensors"):
        _read_through(shard)
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(work / "cache")}
    more = ["export_verify=false"] if tool == "tunesmith" else []
    started = time.perf_counter()
    cost = measure.run([command, "export", config, *more], environment=environment,
                       output=work / "logs" / f"merge_{tool}.txt")  # fmt: skip
    os.sync()
    return Export(cost.wall, time.perf_counter() - started, cost.cpu, cost.peak_mib)


def _read_through(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(8 << 20)
        while file.readinto(buffer):
            pass


def ensure_model(work: Path, folder: Path, shape: Shape) -> Path:
    """Write random bf16 weights as safetensors shards, with an index, a configuration and Qwen3's real tokenizer."""
    if (folder / "config.json").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(fetch.qwen3_tokenizer(work), folder)
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    size = 0
    for name, dims in shape.tensors():
        if size + 2 * math.prod(dims) > SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = dims
        size += 2 * math.prod(dims)
    generator = torch.Generator().manual_seed(0)
    places = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        _write_shard(folder / file, shard, generator)
        places |= dict.fromkeys(shard, file)
    total = sum(2 * math.prod(dims) for _, dims in shape.tensors())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(shape.config(), indent=2), encoding="utf-8")  # last: it is whole now
    return folder


def _write_shard(path: Path, shard: Mapping[str, tuple[int, ...]], generator: torch.Generator) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, dims in shard.items():
        start, end = end, end + 2 * math.prod(dims)
        header[name] = {"dtype": "BF16", "shape": dims, "data_offsets": (start, end)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, dims in shard.items():
            middle, left = float("norm" in name), math.prod(dims)
            while left:
                values = torch.randn(min(left, CHUNK), generator=generator).mul_(0.02).add_(middle)
                file.write(values.bfloat16().view(torch.uint8).numpy().data)
                left -= len(values)


def ensure_adapter(model: Path, shape: Shape) -> Path:
    """Write a LoRA adapter on all linear layers, A as peft draws it and B random."""
    folder = model.with_name(f"{model.name}_adapter")
    if (folder / "adapter_config.json").is_file():
        return folder
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for i in range(shape.layers):
        for name, (rows, columns) in shape.linears().items():
            stem = f"base_model.model.model.layers.{i}.{name}"
            a = torch.rand(settings.RANK, columns, generator=generator).mul_(2).sub_(1).div_(math.sqrt(columns))
            tensors[f"{stem}.lora_A.weight"] = a
            tensors[f"{stem}.lora_B.weight"] = torch.randn(rows, settings.RANK, generator=generator) * 0.02
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": str(model), "bias": "none",
              "r": settings.RANK, "lora_alpha": 2 * settings.RANK, "lora_dropout": 0.0, "inference_mode": True,
              "target_modules": list(LORA_TARGETS), "fan_in_fan_out": False, "modules_to_save": None}  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    return folder


def compare(base: Path, theirs: Path, ours: Path) -> Agreement:
    """Names, shapes and dtypes of all tensors, and the values of some: embedding, norms, biases and linear layers."""
    files = [_Tensors(folder) for folder in (base, theirs, ours)]
    facts = [one.facts() for one in files[1:]]
    other = sorted({name for name, _ in set(facts[0].items()) ^ set(facts[1].items())})
    shared = sorted(facts[0].keys() & facts[1].keys() & files[0].places.keys())
    linear = [name for name in shared if name.endswith("_proj.weight")]
    rest = [name for name in shared if name not in linear]
    chosen = [one for names in (linear, rest) for one in names[:: max(1, len(names) * 2 // COMPARED)]]
    worst, equal, values, moved, movable = 0.0, 0, 0, 0, 0
    chosen = sorted({*chosen, "model.embed_tokens.weight"} & {*shared})
    for name in chosen:
        before, a, b = (one.tensor(name).float() for one in files)
        # The spacing of the largest number that took part: a sum near zero carries the rounding of its parts.
        _, exponent = torch.frexp(torch.maximum(torch.maximum(a.abs(), b.abs()), before.abs()))
        spacing = torch.exp2((exponent - 1 - BF16_BITS).float())
        gap = (a - b).abs_().div_(spacing).nan_to_num_(nan=math.inf)
        worst = max(worst, gap.max().item())
        equal, values = equal + int((a == b).sum()), values + a.numel()
        if name in linear:
            moved, movable = moved + int((b != before).sum()), movable + b.numel()
    return Agreement(other, len(chosen), worst, equal / values, moved / movable)


class _Tensors:
    """The tensors of a model's folder, read by the safetensors library."""

    def __init__(self, folder: Path) -> None:
        self.files = {path: safe_open(path, "pt") for path in sorted(folder.glob("*.safetensors"))}
        self.places = {name: path for path, file in self.files.items() for name in file.keys()}  # noqa: SIM118

    def facts(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        slices = {name: self.files[path].get_slice(name) for name, path in self.places.items()}
        return {name: (one.get_dtype(), tuple(one.get_shape())) for name, one in slices.items()}

    def tensor(self, name: str) -> torch.Tensor:
        return self.files[self.places[name]].get_tensor(name)
