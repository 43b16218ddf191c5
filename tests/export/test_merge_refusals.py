"""Adapters and bases that can't be merged are told by what is wrong with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.export.adapted_models import (
    MOE,
    adapter_of,
    opened,
    tensors,
    tiny,
)

from tunesmith.errors import UserError


def changed_settings(adapter: Path, folder: Path, **settings: Any) -> Path:
    shutil.copytree(adapter, folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **settings}), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "settings",
    [
        {"layer_replication": [[0, 1], [0, 2]]},
        {"alora_invocation_tokens": [1]},
        {"use_qalora": True},
        {"init_lora_weights": "olora"},
        {"init_lora_weights": "loftq"},
        {"peft_type": "PROMPT_TUNING"},
        {"warp_factor": 9},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_settings_that_cannot_be_merged_are_named(
    settings: dict[str, Any], tiny_model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    base = tiny_model_dir("llama")
    adapter = changed_settings(adapter_of(base, tmp_path / "adapter"), tmp_path / "changed", **settings)
    with pytest.raises(UserError, match=next(iter(settings))):
        opened(base, adapter)


def test_every_tensor_must_have_its_place(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = tiny_model_dir("llama")
    adapter = adapter_of(base, tmp_path / "adapter")
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({**weights, "base_model.model.model.extra.weight": torch.ones(2)}, adapter / "adapter_model.safetensors")
    with pytest.raises(UserError, match=r"extra\.weight"):
        opened(base, adapter)
    missing = sorted(weights)[0]
    save_file({k: v for k, v in weights.items() if k != missing}, adapter / "adapter_model.safetensors")
    with pytest.raises(UserError, match="no weights for"):
        opened(base, adapter)
    with pytest.raises(UserError, match="does not fit"):
        opened(tiny_model_dir("llama", hidden_size=32), adapter_of(base, tmp_path / "other"))


def test_an_adapter_of_zeros_is_told(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = tiny_model_dir("llama")
    adapter = adapter_of(base, tmp_path / "adapter")
    assert not opened(base, adapter).notes
    path = adapter / "adapter_model.safetensors"
    save_file({k: v * (0 if "lora_B" in k else 1) for k, v in load_file(path).items()}, path)
    assert any("changes nothing" in note for note in opened(base, adapter).notes)


def test_numbers_that_are_none(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = tiny_model_dir("llama")
    adapter = adapter_of(base, tmp_path / "adapter")
    path = adapter / "adapter_model.safetensors"
    save_file({k: v * float("inf") for k, v in load_file(path).items()}, path)
    with pytest.raises(UserError, match=r"down_proj\.weight is no longer finite"):
        tensors(opened(base, adapter))


def test_whole_modules_that_are_no_numbers(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = tiny_model_dir("llama")
    adapter = adapter_of(base, tmp_path / "adapter", modules_to_save=["lm_head"])
    path = adapter / "adapter_model.safetensors"
    save_file({k: v * (float("nan") if "lm_head" in k else 1) for k, v in load_file(path).items()}, path)
    with pytest.raises(UserError, match=r"lm_head\.weight is no longer finite"):
        tensors(opened(base, adapter))


def test_another_base_is_told(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = tiny_model_dir("llama")
    adapter = adapter_of(base, tmp_path / "adapter")
    foreign = changed_settings(adapter, tmp_path / "foreign", base_model_name_or_path="someone/else")
    assert any("someone/else" in note for note in opened(base, foreign).notes)


def test_experts_as_transformers_4_named_them(tmp_path: Path) -> None:
    base = tiny(tmp_path / "base", "qwen3_moe", **MOE)
    adapter = adapter_of(base, tmp_path / "adapter", target_modules=["q_proj"])
    path = adapter / "adapter_model.safetensors"
    expert = "base_model.model.model.layers.0.mlp.experts.3.down_proj.lora_A.weight"
    save_file({**load_file(path), expert: torch.ones(4, 32)}, path)
    with pytest.raises(UserError, match="transformers 4") as told:
        opened(base, adapter)
    assert "save it again" in told.value.hint


def test_a_quantized_base_is_refused(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_model_dir("llama"), base)
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (base / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match="gptq"):
        opened(base)
