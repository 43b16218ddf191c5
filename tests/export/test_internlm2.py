"""InternLM2 in its own layout: the Llama that it is, merged, written as GGUF and asked."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.export.adapted_models import opened, reloaded, tensors
from tests.export.gguf_cases import write_f32
from tests.export.llama_server import serving
from torch import Tensor
from transformers import AutoModelForCausalLM

from tunesmith.cli.main import main
from tunesmith.config import AdapterConfig, ModelConfig
from tunesmith.models.adapter_files import locate_adapter

GROUPS, QUERIES, SIZE = 2, 2, 16
IDS = [1, 5, 9, 200, 31, 7]
NAMES = {
    "model.embed_tokens": "model.tok_embeddings", "lm_head": "output", "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3", "mlp.down_proj": "feed_forward.w2",
    "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """As InternLM2 keeps them: for each group the rows of its queries, then of its key and its value."""
    rows = []
    for group in range(GROUPS):
        rows.append(q[group * QUERIES * SIZE : (group + 1) * QUERIES * SIZE])
        rows += [each[group * SIZE : (group + 1) * SIZE] for each in (k, v)]
    return torch.cat(rows)


def as_internlm2(llama: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(llama / file, folder / file)
    stored, written = load_file(llama / "model.safetensors"), {}
    for name, tensor in stored.items():
        if name.endswith("self_attn.q_proj.weight"):
            k, v = (stored[name.replace("q_proj", part)] for part in ("k_proj", "v_proj"))
            written[name.replace("self_attn.q_proj", "attention.wqkv")] = fused(tensor, k, v)
        elif "k_proj" not in name and "v_proj" not in name:
            theirs = next((name.replace(ours, theirs) for ours, theirs in NAMES.items() if ours in name), name)
            written[theirs] = tensor
    save_file(written, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((llama / "config.json").read_text(encoding="utf-8"))
    kept = {key: value for key, value in config.items() if key not in ("head_dim", "attention_bias", "mlp_bias")}
    code = {"AutoConfig": "configuration_internlm2.InternLM2Config", "AutoModelForCausalLM": "m.InternLM2ForCausalLM"}
    told = {"model_type": "internlm2", "architectures": ["InternLM2ForCausalLM"], "bias": False, "auto_map": code}
    (folder / "config.json").write_text(json.dumps({**kept, **told}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def llama(tiny_model_dir: Callable[..., Path]) -> Path:
    return tiny_model_dir("llama")


@pytest.fixture(scope="module")
def internlm2(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_internlm2(llama, tmp_path_factory.mktemp("internlm2") / "base")


@pytest.fixture
def adapter(internlm2: Path, tmp_path: Path) -> Path:
    """A LoRA beside the fused matrix and another, as peft saves one for InternLM2's own code."""
    torch.manual_seed(7)
    shapes = {"attention.wqkv": ((GROUPS * (QUERIES + 2) * SIZE), 64), "feed_forward.w2": (64, 128)}
    factors = {}
    for layer in range(2):
        for module, (rows, columns) in shapes.items():
            name = f"base_model.model.model.layers.{layer}.{module}"
            factors[f"{name}.lora_A.weight"] = torch.randn(4, columns) * 0.1
            factors[f"{name}.lora_B.weight"] = torch.randn(rows, 4) * 0.1
    folder = tmp_path / "adapter"
    folder.mkdir()
    save_file(factors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "bias": "none",
                "target_modules": ["wqkv", "w2"], "base_model_name_or_path": str(internlm2)}  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([IDS])).logits[0, -1]


def test_its_tensors_are_a_llamas(llama: Path, internlm2: Path) -> None:
    source = opened(internlm2)
    made, expected = tensors(source), load_file(llama / "model.safetensors")
    assert made.keys() == expected.keys()
    assert all(torch.equal(made[name], expected[name]) for name in expected)
    assert source.config["model_type"] == "llama"
    assert "auto_map" not in source.config
    assert any("InternLM2" in note for note in source.notes)


def test_llama_cpp_runs_it(llama: Path, internlm2: Path, tmp_path: Path) -> None:
    expected = logits(AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)).log_softmax(-1)
    with serving(write_f32(opened(internlm2), tmp_path / "model.gguf")) as runtime:
        found = runtime.next_tokens(IDS)
    assert {i: expected[i].item() for i in found} == pytest.approx(found, abs=1e-4)


def test_an_adapter_on_the_fused_matrix_is_merged(llama: Path, internlm2: Path, adapter: Path, tmp_path: Path) -> None:
    factors = load_file(adapter / "adapter_model.safetensors")
    expected = load_file(llama / "model.safetensors")
    for layer in range(2):
        here = f"model.layers.{layer}."
        name = f"base_model.model.{here}attention.wqkv."
        delta = 2 * factors[name + "lora_B.weight"] @ factors[name + "lora_A.weight"]
        by_group = delta.view(GROUPS, QUERIES + 2, SIZE, -1)
        parts = {"q": by_group[:, :QUERIES], "k": by_group[:, QUERIES], "v": by_group[:, QUERIES + 1]}
        for part, change in parts.items():
            expected[f"{here}self_attn.{part}_proj.weight"] += change.reshape(-1, delta.shape[1])
        name = f"base_model.model.{here}feed_forward.w2."
        change = 2 * factors[name + "lora_B.weight"] @ factors[name + "lora_A.weight"]
        expected[f"{here}mlp.down_proj.weight"] += change
    found = locate_adapter(str(adapter), AdapterConfig(), ModelConfig(model_name_or_path=str(internlm2)))
    source = opened(internlm2, found)
    for name, tensor in tensors(source).items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-6, rtol=1e-5, msg=name)
    assert torch.isfinite(logits(reloaded(source, tmp_path / "merged"))).all()


def test_the_whole_way_with_the_comparison(
    internlm2: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["--model", str(internlm2), "--adapter", str(adapter), "--quant", "f32", "--export-dir", "out"]
    assert main(["export", *asked]) == 0
    said = capsys.readouterr().out
    assert "100%" in next(line for line in said.splitlines() if "out-f32.gguf" in line and "pass" in line)
    assert main(["export", *asked[:4], "--to", "gguf-adapter", "--export-dir", "small"]) == 0
    assert (tmp_path / "small" / "small-lora.gguf").is_file()


def test_positions_that_stretch_beyond_the_context_alone_are_plain_within_it(internlm2: Path, tmp_path: Path) -> None:
    source = opened(internlm2)
    config = {**source.config, "rope_scaling": {"type": "dynamic", "factor": 2.0}}
    plain, stretched = (tmp_path / kind / "model.gguf" for kind in ("plain", "stretched"))
    for path, told in ((plain, source), (stretched, dataclasses.replace(source, config=config))):
        path.parent.mkdir()
        write_f32(told, path)
    assert stretched.read_bytes() == plain.read_bytes()
