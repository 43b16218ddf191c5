"""GGUF files as trainable bases: names, values, tokenizers, and the real SmolLM2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from tunesmith.config.model import ModelConfig
from tunesmith.errors import UserError
from tunesmith.models.gguf.architecture import ARCHITECTURES, architecture_for
from tunesmith.models.gguf.file import open_gguf
from tunesmith.models.gguf.materialize import materialize, read_config, stream_weights
from tunesmith.models.gguf.tokenizer import read_tokenizer
from tunesmith.models.load import load_model
from tunesmith.models.locate import locate
from tunesmith.models.precision import Precision
from tunesmith.models.vocabulary import prepare_vocabulary

TinyModel = Callable[..., Path]
Writer = Callable[..., Path]
IDS = torch.tensor([[5, 300, 17, 42, 120, 9]])
CPU = torch.device("cpu")
PRECISE = Precision(torch.float32, torch.float32, "")
TEXTS = [
    "What is the capital of France?",
    "  12345 apples,\n\n42 pears!",
    "你好，法国的首都是哪里？",
    "a<|im_end|>b 🎉 é",
]


def load(path: Path, cache: Path) -> Any:
    model = ModelConfig(model_name_or_path=str(path))
    located = locate(model)
    vocabulary = prepare_vocabulary(model, located, cache)
    return load_model(model, located, PRECISE, vocabulary, device=CPU, training=False)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": True, "rms_norm_eps": 1e-5}),
        ("llama", {"attention_bias": True, "mlp_bias": True, "num_key_value_heads": 1}),
        (
            "llama",
            {
                "head_dim": 32,
                "rope_parameters": {
                    "rope_type": "llama3",
                    "rope_theta": 500000.0,
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 8192,
                },
            },
        ),
        ("mistral", {}),
        ("qwen2", {}),
        ("qwen2", {"tie_word_embeddings": False}),
        ("qwen3", {}),
        ("qwen3", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e6, "factor": 4.0}}),
    ],
    ids=str,
)
def test_a_model_written_and_read_through_the_table_is_the_same(
    tiny_model_dir: TinyModel, write_gguf: Writer, tmp_path: Path, kind: str, settings: dict[str, Any]
) -> None:
    folder = tiny_model_dir(kind, **settings)
    path = write_gguf(folder, tmp_path / "model.gguf")
    stored = load_file(folder / "model.safetensors")
    read = dict(stream_weights(path, torch.float32))
    assert read.keys() == stored.keys()
    assert all(torch.equal(read[name], stored[name]) for name in stored)
    with torch.no_grad():
        expected = AutoModelForCausalLM.from_pretrained(folder)(input_ids=IDS).logits
        found = load(path, tmp_path / "cache")(input_ids=IDS).logits
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3"])
def test_names_are_those_of_the_gguf_package(tiny_model_dir: TinyModel, name: str) -> None:
    kind = {value: key for key, value in gguf.MODEL_ARCH_NAMES.items()}[name]
    theirs = gguf.get_tensor_name_map(kind, 2)
    for hf_name in load_file(tiny_model_dir(name) / "model.safetensors"):
        assert ARCHITECTURES.get(name).gguf_name(hf_name) == theirs.get_name(hf_name, try_suffixes=(".weight", ".bias"))


def test_the_header_is_read_as_the_gguf_package_reads_it(smollm2_gguf: Path) -> None:
    ours, theirs = open_gguf(smollm2_gguf), gguf.GGUFReader(smollm2_gguf)
    for key, value in ours.metadata.items():
        expected = theirs.fields[key].contents()
        assert value == (pytest.approx(expected) if isinstance(expected, float) else expected), key
    for tensor in theirs.tensors:
        assert ours.tensors[tensor.name].shape == tuple(reversed(tensor.shape.tolist()))
    name = "blk.3.attn_k.weight"
    data = next(tensor for tensor in theirs.tensors if tensor.name == name)
    expected = gguf.quants.dequantize(data.data, data.tensor_type)
    assert np.array_equal(np.concatenate(list(ours.rows_of(name))), expected)


def test_smollm2_answers_paris_and_can_be_saved(smollm2_gguf: Path, tmp_path: Path) -> None:
    model = ModelConfig(model_name_or_path=str(smollm2_gguf))
    located = locate(model)
    vocabulary = prepare_vocabulary(model, located, tmp_path)
    bf16 = Precision(torch.bfloat16, torch.float32, "")
    loaded = load_model(model, located, bf16, vocabulary, device=CPU, training=False)
    tokenizer = AutoTokenizer.from_pretrained(vocabulary.folder)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert prompt["input_ids"][0, :6].tolist() == [1, 9690, 198, 2683, 359, 253]  # <|im_start|>system\nYou are a
    answer = loaded.generate(**prompt, max_new_tokens=8, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"
    loaded.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "model.safetensors").stat().st_size == pytest.approx(269e6, rel=0.01)


def test_the_folder_is_made_once_and_reads_the_same_everywhere(smollm2_gguf: Path, tmp_path: Path) -> None:
    folder = materialize(smollm2_gguf, tmp_path)
    stamp = (folder / "tokenizer.json").stat().st_mtime_ns
    assert materialize(smollm2_gguf, tmp_path) == folder
    assert (folder / "tokenizer.json").stat().st_mtime_ns == stamp
    plain, wrapped = Tokenizer.from_file(str(folder / "tokenizer.json")), AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        ids = plain.encode(text, add_special_tokens=False).ids
        assert wrapped.encode(text, add_special_tokens=False) == ids
        assert plain.decode(ids, skip_special_tokens=False) == text
    assert wrapped.encode("2026") == [34, 32, 34, 38]  # every digit apart, as llama.cpp has it
    assert (wrapped.bos_token, wrapped.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))["eos_token_id"] == [2]


def test_byte_level_tokenizers_come_back_as_they_were(
    tiny_model_dir: TinyModel, write_gguf: Writer, tmp_path: Path
) -> None:
    folder = tiny_model_dir("qwen3")
    before = AutoTokenizer.from_pretrained(folder)
    after = read_tokenizer(open_gguf(write_gguf(folder, tmp_path / "model.gguf")))
    for text in TEXTS:
        assert after.encode(text) == before.encode(text)
    assert after.chat_template == before.chat_template
    assert (after.eos_token, after.pad_token, after.bos_token) == (before.eos_token, before.pad_token, None)


def test_sentencepiece_tokenizers_come_back_as_they_were(
    tiny_model_dir: TinyModel, write_gguf: Writer, tmp_path: Path
) -> None:
    before = sentencepiece_like()
    path = write_gguf(tiny_model_dir("llama"), tmp_path / "model.gguf", tokenizer=before)
    after = read_tokenizer(open_gguf(path))
    for text in [*TEXTS[:3], "lower lowest newer", "tab\tand\nline", "x<s>y"]:
        expected = before.encode(text, add_special_tokens=False).ids
        assert after.encode(text, add_special_tokens=False) == expected, text
        assert after.decode(expected) == before.decode(expected, skip_special_tokens=False)
    assert after.encode("lower")[0] == after.bos_token_id  # SentencePiece models start with one


def sentencepiece_like() -> Tokenizer:
    """A BPE tokenizer of Llama 2's kind: unknown, bos, eos, 256 bytes, then pieces in the order of their merges."""
    control = ["<unk>", "<s>", "</s>"]
    pieces = Tokenizer(models.BPE(unk_token="<unk>"))
    pieces.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    text = ["low lower lowest new newer newest wide wider widest What is the capital of France"] * 3
    trainer = trainers.BpeTrainer(vocab_size=120, show_progress=False)
    pieces.train_from_iterator(text, trainer)
    learnt = json.loads(pieces.to_str())["model"]
    merged = ["".join(pair) for pair in learnt["merges"]]
    letters = [token for token in learnt["vocab"] if token not in merged]
    names = [*control, *(f"<0x{byte:02X}>" for byte in range(256)), *dict.fromkeys(merged), *letters]
    vocabulary = {token: i for i, token in enumerate(names)}
    # Every way to make a piece, best piece first: what SentencePiece does, which knows no merges.
    ways = [
        (piece[:cut], piece[cut:])
        for piece in dict.fromkeys(merged)
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]
    model = models.BPE(vocab=vocabulary, merges=ways, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = pieces.normalizer
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.add_special_tokens(control)
    return tokenizer


def test_what_can_t_be_read_is_refused_with_a_reason(
    tiny_model_dir: TinyModel, write_gguf: Writer, tmp_path: Path
) -> None:
    folder = tiny_model_dir("llama")
    good = write_gguf(folder, tmp_path / "good.gguf")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(good.read_bytes()[:-200_000])
    headless = tmp_path / "headless.gguf"
    headless.write_bytes(good.read_bytes()[:300])
    for path, words in [
        (write_gguf(folder, tmp_path / "a.gguf", architecture="mamba"), "is a mamba model"),
        (write_gguf(folder, tmp_path / "b.gguf", pre="klingon"), "cuts words the way 'klingon' does"),
        (write_gguf(folder, tmp_path / "c.gguf", extra={"blk.0.ffn_gate_exps.weight": np.zeros((2, 32))}), "1 tensors"),
        (write_gguf(folder, tmp_path / "d.gguf", keys={"split.count": 3}), "one of 3 parts"),
        (cut, "cut short"),
        (headless, "middle of its header"),
    ]:
        with pytest.raises(UserError) as told:
            materialize(path, tmp_path / "cache")
        assert words in told.value.message and told.value.hint and told.value.field == "model_name_or_path"


def test_an_architecture_without_a_table_names_those_that_have_one() -> None:
    with pytest.raises(UserError) as told:
        architecture_for("mamba2")
    assert "mamba2" in told.value.message and "mistral" in told.value.hint


def test_settings_survive_the_way_there_and_back(tiny_model_dir: TinyModel, write_gguf: Writer, tmp_path: Path) -> None:
    folder = tiny_model_dir("qwen3", rms_norm_eps=1e-5, max_position_embeddings=512)
    before, after = AutoConfig.from_pretrained(folder), read_config(open_gguf(write_gguf(folder, tmp_path / "m.gguf")))
    for name in (
        "rms_norm_eps",
        "max_position_embeddings",
        "rope_parameters",
        "head_dim",
        "vocab_size",
        "eos_token_id",
    ):
        assert getattr(after, name) == getattr(before, name), name


def test_any_damage_to_a_header_is_told_as_damage(
    tiny_model_dir: TinyModel, write_gguf: Writer, tmp_path: Path
) -> None:
    whole = write_gguf(tiny_model_dir("llama"), tmp_path / "whole.gguf").read_bytes()
    random, damaged = np.random.default_rng(0), tmp_path / "damaged.gguf"
    tokens = whole.index(b"tokenizer.ggml.tokens") + len("tokenizer.ggml.tokens")
    values = [b"\xff" * 8, b"\0" * 8, (2**62).to_bytes(8, "little"), (2**33).to_bytes(8, "little")]
    places = [8, 16, 24, 32, tokens, tokens + 4, tokens + 8, tokens + 16, *random.integers(24, 600, 40)]
    places += [*random.integers(whole.index(b"token_embd.weight") - 8, whole.index(b"output_norm.weight"), 60)]
    for place in places:
        for value in values:
            damaged.write_bytes(whole[:place] + value + whole[place + 8 :])
            try:
                open_gguf(damaged)  # a changed word in a text is nothing that can be seen
            except UserError as told:
                assert told.hint and told.field == "model_name_or_path"
    damaged.write_bytes(whole[:24] + random.bytes(4000))
    with pytest.raises(UserError, match="damaged"):
        open_gguf(damaged)


@pytest.mark.parametrize("change", [{"tokens": None}, {"merges": None}, {"token_type": [1]}, {"eos_token_id": 10**6}])
def test_a_tokenizer_that_does_not_fit_together_is_told_as_damage(
    tiny_model_dir: TinyModel, write_gguf: Writer, tmp_path: Path, change: dict[str, Any]
) -> None:
    file = open_gguf(write_gguf(tiny_model_dir("llama"), tmp_path / "model.gguf"))
    for key, value in change.items():
        file.metadata[f"tokenizer.ggml.{key}"] = value
    with pytest.raises(UserError, match="damaged") as told:
        read_tokenizer(file)
    assert told.value.hint
