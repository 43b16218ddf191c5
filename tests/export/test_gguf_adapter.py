"""Adapters written as GGUF: llama.cpp computes what peft does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tests.export.gguf_cases import source_of, write_case, write_f32
from tests.export.llama_server import serving
from transformers import AutoModelForCausalLM

from tunesmith.errors import UserError
from tunesmith.export.gguf.adapter import write_adapter

IDS = [5, 300, 17, 42, 120, 9, 33, 77]
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]


@pytest.fixture(scope="module")
def base(tiny_tokenizer_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A tiny model of a case with its GGUF file beside it."""
    known: dict[str, Path] = {}

    def make(case: str) -> Path:
        if case not in known:
            folder = tmp_path_factory.mktemp("base") / "model"
            write_case(case, tiny_tokenizer_dir, folder)
            write_f32(source_of(folder), folder / "model.gguf")
            known[case] = folder
        return known[case]

    return make


def adapted(base: Path, folder: Path, **settings: Any) -> torch.Tensor:
    """Save a random adapter; what the model with it says comes next."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(7)
        peft = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
        for name, parameter in peft.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
        peft.save_pretrained(folder, save_embedding_layers=False)
        return peft(input_ids=torch.tensor([IDS])).logits[0, -1].log_softmax(-1)


@pytest.mark.parametrize(
    ("case", "settings"),
    [
        ("llama", {"r": 4, "lora_alpha": 16, "target_modules": [*ATTENTION, "gate_proj", "up_proj", "down_proj"]}),
        ("llama with biases", {"r": 8, "lora_alpha": 8, "use_rslora": True, "target_modules": ATTENTION}),
        (
            "qwen3",
            {
                "r": 4, "lora_alpha": 16, "target_modules": ATTENTION,
                "rank_pattern": {"q_proj": 8}, "alpha_pattern": {"layers.1.self_attn.v_proj": 2},
            },
        ),
        ("llama", {"r": 4, "lora_alpha": 16, "target_modules": ["embed_tokens", "lm_head", "q_proj"]}),
        ("gemma3", {"r": 4, "lora_alpha": 16, "target_modules": [*ATTENTION, "down_proj"]}),
        ("phi3", {"r": 4, "lora_alpha": 16, "target_modules": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]}),
    ],
    ids=str,
)  # fmt: skip
def test_llama_cpp_computes_what_peft_does(
    base: Callable[[str], Path], tmp_path: Path, case: str, settings: dict[str, Any]
) -> None:
    folder = base(case)
    expected = adapted(folder, tmp_path / "adapter", **settings)
    path = tmp_path / "adapter.gguf"
    write_adapter(tmp_path / "adapter", source_of(folder).config, path)
    with serving(folder / "model.gguf", adapter=path) as runtime:
        found = runtime.next_tokens(IDS)
    assert {i: expected[i].item() for i in found} == pytest.approx(found, abs=5e-3 if case == "gemma3" else 1e-4)
    with serving(folder / "model.gguf") as runtime:  # and it does make a difference
        assert runtime.next_tokens(IDS) != pytest.approx(found, abs=0.1)


def test_an_adapter_of_a_model_that_also_sees(base: Callable[[str], Path], tmp_path: Path) -> None:
    config, adapter = source_of(base("gemma3")).config, tmp_path / "adapter"
    adapted(base("gemma3"), adapter, target_modules=ATTENTION)
    write_adapter(adapter, config, tmp_path / "text.gguf", name="same")
    stored = load_file(adapter / "adapter_model.safetensors")
    inside = {name.replace("model.layers", "model.language_model.layers"): tensor for name, tensor in stored.items()}
    save_file(inside, adapter / "adapter_model.safetensors")
    write_adapter(adapter, {"model_type": "gemma3", "text_config": config}, tmp_path / "seeing.gguf", name="same")
    assert (tmp_path / "seeing.gguf").read_bytes() == (tmp_path / "text.gguf").read_bytes()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "lora_only"}, "bias: lora_only"),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices"),
        ({"init_lora_weights": "olora"}, "olora"),
    ],
)
def test_what_an_adapter_can_t_say_is_refused(
    base: Callable[[str], Path], tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    folder = base("llama with biases")
    adapted(folder, tmp_path / "adapter", target_modules=ATTENTION, **settings)
    refused(tmp_path, folder, words)


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_an_embedding_that_is_the_head_too_can_t_be_adapted(
    base: Callable[[str], Path], tmp_path: Path, target: str
) -> None:
    adapted(base("llama 3.1"), tmp_path / "adapter", target_modules=[target])
    refused(tmp_path, base("llama 3.1"), target)


def test_weights_that_are_no_pair_or_of_another_model_are_refused(base: Callable[[str], Path], tmp_path: Path) -> None:
    folder, path = base("llama"), tmp_path / "adapter" / "adapter_model.safetensors"
    adapted(folder, tmp_path / "adapter", target_modules=["q_proj"])
    stored = load_file(path)
    first = min(stored)
    save_file({**stored, first.replace("q_proj", "r_proj"): torch.zeros(2)}, path)
    refused(tmp_path, folder, "r_proj")
    save_file({**stored, "base_model.model.extra.weight": torch.zeros(2)}, path)
    refused(tmp_path, folder, "extra.weight")
    (tmp_path / "adapter" / "adapter_config.json").unlink()
    refused(tmp_path, folder, "not an adapter's folder")


def refused(at: Path, folder: Path, words: str) -> None:
    with pytest.raises(UserError) as told:
        write_adapter(at / "adapter", source_of(folder).config, at / "adapter.gguf")
    assert words in told.value.message and told.value.hint
    assert [each.name for each in at.iterdir()] == ["adapter"]
