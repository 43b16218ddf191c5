"""Models written as GGUF: read back they are the same, and llama.cpp computes what transformers does."""

from __future__ import annotations

import dataclasses
import errno
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.export.gguf_cases import CASES, F32, plain, source_of, write_case, write_f32
from tests.export.llama_server import serving
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from tunesmith.errors import UserError
from tunesmith.export.gguf.metadata import text_part
from tunesmith.export.gguf.mixes import must_be_exact
from tunesmith.export.gguf.quants import quantize
from tunesmith.export.gguf.writer import plan, write_gguf
from tunesmith.export.weights import Source, Weight
from tunesmith.models.gguf.architecture import ARCHITECTURES
from tunesmith.models.gguf.file import open_gguf
from tunesmith.models.gguf.materialize import list_weights, materialize, read_config, stream_weights
from tunesmith.models.gguf.tokenizer import read_tokenizer

Made = tuple[Path, Path]
PROMPT = (
    "<|im_start|>user\nWhat is the capital of France? 你好 12345  The quick brown fox<|im_end|>\n"
    "<|im_start|>assistant\n"
)


@pytest.fixture(scope="module")
def made(tiny_tokenizer_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """The folder and the float32 GGUF file of a case, made once."""
    known: dict[str, Made] = {}

    def make(case: str) -> Made:
        if case not in known:
            folder = tmp_path_factory.mktemp("gguf") / "model"
            write_case(case, tiny_tokenizer_dir, folder)
            known[case] = folder, write_f32(source_of(folder), folder / "model.gguf")
        return known[case]

    return make


def logits(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([ids])).logits[0, -1]


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_reads_back_as_the_same_model(made: Callable[[str], Made], case: str) -> None:
    folder, path = made(case)
    stored, read = load_file(folder / "model.safetensors"), dict(stream_weights(path, torch.float32))
    assert read.keys() == stored.keys()
    for name, expected in stored.items():
        assert torch.allclose(read[name], expected, rtol=0, atol=1e-6 if "gemma" in case else 0), name
    before, config = AutoConfig.from_pretrained(folder), read_config(open_gguf(path))
    if config.model_type != "llama":  # Mistral is read as the Llama that it is
        assert config.to_diff_dict().keys() <= before.to_dict().keys() | {"head_dim", "attention_bias"}
    assert (config.eos_token_id, config.pad_token_id) == (before.eos_token_id, before.pad_token_id)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = tokenizer.encode(PROMPT).ids
    assert read_tokenizer(open_gguf(path)).encode(PROMPT) == ids
    original = AutoModelForCausalLM.from_pretrained(folder)
    kind = type(AutoModelForCausalLM.from_config(config))
    found = kind.from_pretrained(None, config=config, state_dict=read)
    assert torch.allclose(logits(found, ids), logits(original, ids), atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_llama_cpp_computes_what_transformers_does(made: Callable[[str], Made], case: str) -> None:
    folder, path = made(case)
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(PROMPT).ids
    expected = logits(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), ids).log_softmax(-1)
    with serving(path) as runtime:
        assert runtime.tokenize(PROMPT) == ids
        found = runtime.next_tokens(ids)
    likeliest = expected.topk(20)
    tolerance = 5e-3 if "gemma" in case else 1e-4  # llama.cpp looks GELU up in a table of 65536 values
    assert min(found.values()) >= likeliest.values[-1] - tolerance
    assert {i: expected[i].item() for i in found} == pytest.approx(found, abs=tolerance)


@pytest.mark.parametrize("case", ["llama", "qwen2moe", "qwen3moe", "gemma2", "gemma3", "phi3", "glm4"])
def test_names_are_those_of_the_gguf_package(made: Callable[[str], Made], case: str) -> None:
    folder, _ = made(case)
    planned = plan(source_of(folder))
    table = next(table for _, table in ARCHITECTURES if CASES[case][0] in table.model_types)
    kind = {value: key for key, value in gguf.MODEL_ARCH_NAMES.items()}[table.name]
    theirs = gguf.get_tensor_name_map(kind, 7)
    for tensor in planned:
        for weight, _, _ in tensor.shares:
            name = weight.name
            if "_exps." in tensor.name:  # the package's names are of the stacked tensors
                name = name.replace("experts.0.", "experts.")
            if ".experts." not in name or "experts.gate" in name:
                assert theirs.get_name(name, try_suffixes=(".weight", ".bias")) == tensor.name
            break


@pytest.mark.parametrize("case", ["mixtral", "qwen2moe", "qwen3moe"])
def test_experts_may_also_lie_as_transformers_computes_with_them(
    made: Callable[[str], Made], case: str, tmp_path: Path
) -> None:
    folder, path = made(case)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    fused = tmp_path / "fused"
    model.config.save_pretrained(fused)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (fused / file).write_bytes((folder / file).read_bytes())
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, fused / "model.safetensors")
    assert any("experts.gate_up_proj" in weight.name for weight in source_of(fused).weights)
    assert write_f32(source_of(fused), tmp_path / "model.gguf").read_bytes() == path.read_bytes()


def test_of_a_model_that_sees_the_part_that_reads_is_written(made: Callable[[str], Made], tmp_path: Path) -> None:
    folder, path = made("gemma3")
    seeing = tmp_path / "seeing"
    text = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = AutoConfig.for_model("gemma3", text_config=text, vision_config={**vision, "image_size": 28})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    stored = {f"language_model.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    model.save_pretrained(seeing)
    others = load_file(seeing / "model.safetensors")
    assert others.keys() > stored.keys()
    save_file({**others, **stored}, seeing / "model.safetensors")
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (seeing / file).write_bytes((folder / file).read_bytes())
    source = source_of(seeing)
    assert write_f32(source, tmp_path / "model.gguf").read_bytes() == path.read_bytes()
    assert "sees images" in text_part(source).notes[-1] and text_part(source_of(folder)).notes == ()


def test_quantized_tensors_are_those_of_the_gguf_package_and_small_ones_stay_exact(
    made: Callable[[str], Made], tmp_path: Path
) -> None:
    folder, exact = made("qwen3moe")
    path, seen = tmp_path / "small.gguf", []
    q8 = gguf.GGMLQuantizationType.Q8_0
    write_gguf(
        source_of(folder),
        path,
        kinds=lambda name, shape: q8,
        quantize=plain,
        file_type=gguf.LlamaFileType.MOSTLY_Q8_0,
        report=lambda done, total: seen.append((done, total)),
    )
    original = {tensor.name: tensor.data for tensor in gguf.GGUFReader(exact).tensors}
    for tensor in gguf.GGUFReader(path).tensors:
        if must_be_exact(tensor.name, tensor.shape.tolist()[::-1]):
            assert tensor.tensor_type == F32 and np.array_equal(tensor.data, original[tensor.name])
        else:
            assert tensor.tensor_type == q8
            assert np.array_equal(tensor.data, gguf.quants.quantize(original[tensor.name], q8)), tensor.name
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1] <= path.stat().st_size
    with serving(path) as runtime:
        assert len(runtime.next_tokens([1, 2, 3])) == 20


def test_a_real_model_still_answers(smollm2_gguf: Path, tmp_path: Path) -> None:
    folder = materialize(smollm2_gguf, tmp_path)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = [
        Weight(weight.name, weight.shape, torch.float32, partial(weight.read, torch.float32))
        for weight in list_weights(smollm2_gguf)
    ]
    path, f16 = tmp_path / "model.gguf", gguf.GGMLQuantizationType.F16
    mix = {"kinds": lambda name, shape: f16, "file_type": gguf.LlamaFileType.MOSTLY_F16, "quantize": quantize}
    write_gguf(Source(weights, config, folder, base="HuggingFaceTB/SmolLM2-135M-Instruct"), path, **mix)
    assert path.stat().st_size == pytest.approx(271e6, rel=0.01)
    with serving(path, context=512) as runtime:
        asked = [{"role": "user", "content": "What is the capital of France?"}]
        answer = runtime.ask("/v1/chat/completions", messages=asked, temperature=0, max_tokens=12)["choices"][0]
    assert answer["message"]["content"] == "The capital of France is Paris."
    assert answer["finish_reason"] == "stop"


def test_the_file_tells_where_it_comes_from(made: Callable[[str], Made], tmp_path: Path) -> None:
    folder, _ = made("qwen3")
    (folder / "README.md").write_text("---\nlicense: mit\nlanguage: [en, zh]\ntags:\n- tiny\n---\n# Model\n", "utf-8")
    metadata = open_gguf(write_f32(source_of(folder), tmp_path / "m.gguf", name="Tiny of mine")).metadata
    (folder / "README.md").unlink()
    expected = {
        "general.type": "model", "general.architecture": "qwen3", "general.name": "Tiny of mine",
        "general.size_label": "132K", "general.file_type": 0, "general.quantization_version": 2,
        "general.base_model.count": 1, "general.base_model.0.name": "tiny model",
        "general.base_model.0.organization": "someone", "general.license": "mit",
        "general.languages": ["en", "zh"], "general.tags": ["tiny"],
        "general.base_model.0.repo_url": "https://huggingface.co/someone/tiny-model",
    }  # fmt: skip
    assert {key: value for key, value in metadata.items() if key.startswith("general.")} == expected


def test_a_full_disk_leaves_nothing_behind(
    made: Callable[[str], Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = made("llama")

    def full(rows: Any, kind: Any, importance: Any = None) -> Iterator[None]:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match="No space left") as told:
        write_f32(source_of(folder), tmp_path / "model.gguf", quantize=full)
    assert "full" in told.value.hint and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("case", "change", "words"),
    [
        ("qwen3moe", {"norm_topk_prob": False}, "norm_topk_prob: False"),
        ("gemma2", {"query_pre_attn_scalar": 99}, "query_pre_attn_scalar: 99"),
        ("gemma3", {"layer_types": ["full_attention"] * 7}, "layer_types"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act: gelu"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "proportional", "rope_theta": 1e4, "factor": 2.0}},
            "'proportional'",
        ),
        ("llama", {"num_hidden_layers": 3}, "not whole"),
        ("llama", {"model_type": "mamba2"}, "no GGUF table for mamba2"),
    ],
)
def test_what_gguf_can_t_say_is_refused(
    made: Callable[[str], Made], tmp_path: Path, case: str, change: dict[str, Any], words: str
) -> None:
    source = source_of(made(case)[0])
    with pytest.raises(UserError) as told:
        write_f32(dataclasses.replace(source, config={**source.config, **change}), tmp_path / "m.gguf")
    assert words in told.value.message and told.value.hint and not list(tmp_path.iterdir())


def test_weights_without_a_place_are_named(made: Callable[[str], Made], tmp_path: Path) -> None:
    source = source_of(made("llama")[0])
    stray = dataclasses.replace(source.weights[0], name="model.vision_tower.weight")
    with pytest.raises(UserError, match=r"model\.vision_tower\.weight"):
        plan(dataclasses.replace(source, weights=[*source.weights, stray]))


def test_old_configurations_mean_the_same(made: Callable[[str], Made], tmp_path: Path) -> None:
    folder, path = made("llama 3.1")
    source: Source = source_of(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    rope = config.pop("rope_parameters")
    config |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope}  # as transformers 4 wrote it
    old = write_f32(dataclasses.replace(source, config=config), tmp_path / "model.gguf")
    assert old.read_bytes() == path.read_bytes()
