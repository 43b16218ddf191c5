"""A LoRA adapter's folder as a GGUF file that llama.cpp and Ollama put on top of a base."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
from gguf import GGUFValueType
from safetensors import safe_open

from tunesmith.errors import UserError
from tunesmith.export.gguf.metadata import settle, text_config, text_name
from tunesmith.export.lora_settings import GENTLE_STARTS, NOT_MERGED
from tunesmith.export.target import clear_leftovers, told_plainly
from tunesmith.models.gguf.architecture import Architecture, architecture_for
from tunesmith.models.shards import read_header

FIELD = "adapter_name_or_path"

_PEFT = "base_model.model."
# The ends of names of peft's two factors.
_PAIRS = ((".lora_A.weight", ".lora_B.weight"), (".lora_embedding_A", ".lora_embedding_B"))
# Settings of peft with which an adapter is more than B·A beside a matrix, with how they are called.
_MORE = {
    "use_dora": "DoRA",
    "modules_to_save": "modules trained in full (modules_to_save)",
    "trainable_token_indices": "retrained rows of the embedding (trainable_token_indices)",
    "lora_bias": "biases (lora_bias)",
    "fan_in_fan_out": "transposed weights (fan_in_fan_out)",
    "target_parameters": "adapted experts (target_parameters)",
    **NOT_MERGED,
}
_HINT = "Merge the adapter into its base, and export the merged model."


def write_adapter(folder: Path, config: Mapping[str, Any], path: Path, *, name: str = "") -> None:
    """Write the adapter in `folder` as `path`, its factors in float32; half a file is never seen under that name.

    config: config.json of the base. UserError for what is more than two factors beside a matrix (DoRA, modules trained
    in full, experts …), for weights that the base has not, and for a full disk.
    """
    settings, config = _settings(folder), text_config(config)
    table, base = architecture_for(config.get("model_type", "")), settle(config)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with told_plainly(path):
        clear_leftovers(path)
        try:
            writer = gguf.GGUFWriter(aside, table.name)
            alpha = float(settings["lora_alpha"])
            for key, value, kind in (
                ("general.type", "adapter", GGUFValueType.STRING),
                ("general.name", name or path.stem, GGUFValueType.STRING),
                ("adapter.type", "lora", GGUFValueType.STRING),
                ("adapter.lora.alpha", alpha, GGUFValueType.FLOAT32),
            ):
                writer.add_key_value(key, value, kind)
            for tensor, values in _factors(folder, settings, table, base):
                writer.add_tensor(tensor, values)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            with aside.open("rb+") as file:
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)


def _settings(folder: Path) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder} is not an adapter's folder: {error}.",
            hint="Give the folder that holds adapter_config.json.",
            field=FIELD,
        ) from error
    more = [told for setting, told in _MORE.items() if settings.get(setting)]
    if settings.get("peft_type") != "LORA":
        more = [f"a {settings.get('peft_type')} adapter"]
    if settings.get("bias", "none") != "none":
        more.append(f"trained biases (bias: {settings['bias']})")
    start = settings.get("init_lora_weights")
    if isinstance(start, str) and start not in GENTLE_STARTS:
        more.append(f"a start taken out of the base (init_lora_weights: {start})")
    if more:
        raise UserError(f"{folder} has {', '.join(more)}: a GGUF adapter can't say that.", hint=_HINT, field=FIELD)
    return settings


def check_adapter(folder: Path, config: Mapping[str, Any]) -> int:
    """Bytes that `write_adapter` will write of the adapter in `folder`, some kilobytes aside. UserError where it can't.

    config: config.json of the base.
    """
    settings, config = _settings(folder), text_config(config)
    table, base = architecture_for(config.get("model_type", "")), settle(config)
    stored = read_header(_weights(folder))
    pairs = _pairs(folder, stored, table, base)
    assert settings["lora_alpha"] is not None
    return 4 * sum(math.prod(stored[name].shape) for pair in pairs for name in (pair.first, pair.second))


class _Pair(NamedTuple):
    """The names of two factors in the file, of the module that they belong to, and of its tensor in GGUF."""

    first: str
    second: str
    module: str
    gguf: str


def _pairs(folder: Path, names: Iterable[str], table: Architecture, base: Mapping[str, Any]) -> list[_Pair]:
    """Every tensor of the file as one of two factors of a matrix that the base has. UserError for others."""
    found, left = [], set(names)
    for first in sorted(left):
        ends = next((pair for pair in _PAIRS if first.endswith(pair[0])), None)
        if ends is None:
            continue
        second = first.removesuffix(ends[0]) + ends[1]
        module = text_name(first.removesuffix(ends[0]).removeprefix(_PEFT))
        places = table.places(f"{module}.weight")
        # Of one tensor that is embedding and head, llama.cpp would change both.
        shared = base.get("tie_word_embeddings") and module in ("model.embed_tokens", "lm_head")
        if second not in left or len(places) != 1 or places[0].expert is not None or shared:
            raise UserError(
                f"{folder} adapts {module}, which a GGUF adapter of a {table.name} model can't.",
                hint=_HINT,
                field=FIELD,
            )
        left -= {first, second}
        found.append(_Pair(first, second, module, places[0].gguf))
    if left:
        raise UserError(f"{folder} holds {min(left)}, which is no factor of a LoRA adapter.", hint=_HINT, field=FIELD)
    return found


def _weights(folder: Path) -> Path:
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        raise UserError(f"{folder} has no adapter_model.safetensors.", hint="Copy the whole folder.", field=FIELD)
    return path


def _factors(
    folder: Path, settings: Mapping[str, Any], table: Architecture, base: Mapping[str, Any]
) -> Iterator[tuple[str, np.ndarray]]:
    """GGUF name and float32 values of every factor: A [r, columns] and B [rows, r] of a matrix [rows, columns]."""
    with safe_open(_weights(folder), "pt") as file:
        for first, second, module, name in _pairs(folder, file.keys(), table, base):
            a, b = file.get_tensor(first).float(), file.get_tensor(second).float()
            b = table.to_gguf(f"{module}.weight", b, base) * _correction(module, a.shape[0], settings)
            is_embedding = first.endswith("embedding_A")
            yield f"{name}.lora_a", (a.T if is_embedding else a).contiguous().numpy()
            yield f"{name}.lora_b", b.contiguous().numpy()


def _correction(module: str, rank: int, settings: Mapping[str, Any]) -> float:
    """What B is multiplied with. llama.cpp scales by alpha / rank alone; other scales go into the values."""
    alpha = settings["lora_alpha"]
    for pattern, value in (settings.get("alpha_pattern") or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            alpha = value
            break
    scale = alpha / math.sqrt(rank) if settings.get("use_rslora") else alpha / rank
    return float(scale / (settings["lora_alpha"] / rank))
