"""A LoRA adapter's folder as a GGUF file that llama.cpp and Ollama put on top of a base."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGUFValueType
from safetensors import safe_open

from tunesmith.errors import UserError
from tunesmith.export.gguf.metadata import settle, text_config, text_name
from tunesmith.export.target import clear_leftovers, told_plainly
from tunesmith.models.gguf.architecture import Architecture, architecture_for

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
    "layer_replication": "repeated layers (layer_replication)",
    "alora_invocation_tokens": "activated LoRA",
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "arrow_config": "Arrow",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "velora_config": "VeLoRA",
}
_GENTLE_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")  # those that leave the base as it is
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
    if settings.get("init_lora_weights") not in _GENTLE_STARTS:
        more.append(f"a start taken out of the base (init_lora_weights: {settings['init_lora_weights']})")
    if more:
        raise UserError(f"{folder} has {', '.join(more)}: a GGUF adapter can't say that.", hint=_HINT, field=FIELD)
    return settings


def _factors(
    folder: Path, settings: Mapping[str, Any], table: Architecture, base: Mapping[str, Any]
) -> Iterator[tuple[str, np.ndarray]]:
    """GGUF name and float32 values of every factor: A [r, columns] and B [rows, r] of a matrix [rows, columns]."""
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        raise UserError(f"{folder} has no adapter_model.safetensors.", hint="Copy the whole folder.", field=FIELD)
    with safe_open(path, "pt") as file:
        left = set(file.keys())
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
            a, b = file.get_tensor(first).float(), file.get_tensor(second).float()
            b = table.to_gguf(f"{module}.weight", b, base) * _correction(module, a.shape[0], settings)
            is_embedding = first.endswith("embedding_A")
            yield f"{places[0].gguf}.lora_a", (a.T if is_embedding else a).contiguous().numpy()
            yield f"{places[0].gguf}.lora_b", b.contiguous().numpy()
    if left:
        raise UserError(f"{folder} holds {min(left)}, which is no factor of a LoRA adapter.", hint=_HINT, field=FIELD)


def _correction(module: str, rank: int, settings: Mapping[str, Any]) -> float:
    """What B is multiplied with. llama.cpp scales by alpha / rank alone; other scales go into the values."""
    alpha = settings["lora_alpha"]
    for pattern, value in (settings.get("alpha_pattern") or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            alpha = value
            break
    scale = alpha / math.sqrt(rank) if settings.get("use_rslora") else alpha / rank
    return float(scale / (settings["lora_alpha"] / rank))
