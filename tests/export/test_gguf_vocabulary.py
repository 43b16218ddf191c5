"""Tokenizers written as GGUF: llama.cpp makes the same ids of text and the same prompts of conversations."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType, LlamaFileType, TokenType
from tests.assets import real_tokenizer
from tests.export.gguf_cases import plain, write_f32, zeros
from tests.export.llama_server import serving
from tokenizers import AddedToken, Regex, Tokenizer, pre_tokenizers

from tunesmith.errors import UserError
from tunesmith.export.gguf.cutting import probes
from tunesmith.export.gguf.vocabulary import vocabulary
from tunesmith.models.gguf.file import open_gguf

TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"

# Where the text starts, and which texts llama.cpp itself cuts differently.
REAL: dict[str, tuple[str, Callable[[str], bool]]] = {
    "smollm2": ("smollm", lambda text: False),
    "qwen3": ("qwen2", lambda text: False),
    "llama3": ("llama-bpe", lambda text: False),
    "deepseek_v3": ("deepseek-v3", lambda text: False),
    # Its expression for Mistral's vocabulary leaves combining marks out.
    "mistral_tekken": ("tekken", lambda text: "नमस्ते" in text or "ภาษาไทย" in text),
    "llama2": ("default", lambda text: False),
    "mistral_v3": ("default", lambda text: text.startswith(" ")),
    "gemma3": ("default", lambda text: False),
}


def values(fields: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    return {key.removeprefix("tokenizer.ggml."): value for key, (value, _) in fields.items()}


def with_settings(folder: Path, to: Path, **settings: Any) -> Path:
    """A copy of a tokenizer's folder with other settings."""
    shutil.copytree(folder, to)
    path = to / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **settings}), encoding="utf-8")
    return to


@pytest.mark.parametrize("name", REAL)
def test_llama_cpp_makes_the_same_ids(name: str, tmp_path: Path) -> None:
    folder = real_tokenizer(name)
    pre, differs = REAL[name]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rows = tokenizer.get_vocab_size() + 3
    written = write_f32(
        zeros(rows, folder),
        tmp_path / "model.gguf",
        kinds=lambda name, shape: GGMLQuantizationType.Q8_0,
        file_type=LlamaFileType.MOSTLY_Q8_0,
        quantize=plain,
    )
    normal = tokenizer.normalizer.normalize_str if pre == "qwen2" else str
    with serving(written) as runtime:
        for probe in map(normal, probes()):
            if not differs(probe):
                assert runtime.tokenize(probe) == tokenizer.encode(probe, add_special_tokens=False).ids, probe
        framed = runtime.tokenize("Hello", add_special=True)
    assert framed == tokenizer.encode("Hello").ids
    metadata = open_gguf(written).metadata
    assert metadata["tokenizer.ggml.pre"] == pre
    assert metadata["tokenizer.ggml.tokens"][-1] == f"[PAD{rows - 1}]"


def test_conversations_of_a_model_that_has_its_space_at_the_start_alone(tmp_path: Path) -> None:
    folder = with_settings(real_tokenizer("mistral_v3"), tmp_path / "tokenizer", chat_template=TEMPLATE)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    with serving(write_f32(zeros(32768, folder), tmp_path / "model.gguf")) as runtime:
        for probe in probes():
            for lead in ("<s>", "[INST]"):
                expected = tokenizer.encode(lead + probe, add_special_tokens=False).ids
                assert runtime.tokenize(lead + probe) == expected, probe


def test_llama_cpp_renders_the_template_beside_the_tokenizer(tmp_path: Path) -> None:
    folder = with_settings(real_tokenizer("smollm2"), tmp_path / "tokenizer", chat_template="{{ 'not this' }}")
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    with serving(write_f32(zeros(49152, folder), tmp_path / "model.gguf")) as runtime:
        rendered = runtime.render([{"role": "user", "content": "Hi"}])
    assert rendered.removeprefix("<|im_start|>") == "user: Hi\n"


def test_control_tokens_that_swallow_the_space_after_them(tmp_path: Path) -> None:
    folder = with_settings(real_tokenizer("llama2"), tmp_path / "tokenizer", chat_template=TEMPLATE)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    swallowing = [AddedToken(token, rstrip=True, normalized=False) for token in ("</s>", "<|user|>", "<|end|>")]
    tokenizer.add_special_tokens(["<|endoftext|>", *swallowing])
    tokenizer.save(str(folder / "tokenizer.json"))
    text = "<s><|user|>\nWhat is it?<|end|>\n  <|user|> No"
    expected = tokenizer.encode(text, add_special_tokens=False).ids
    assert 13 not in expected  # the newline
    with serving(write_f32(zeros(32003, folder), tmp_path / "model.gguf", name="Mine")) as runtime:
        assert runtime.tokenize(text) == expected


def test_a_name_with_phi_3_in_it_asks_nothing_of_other_vocabularies(tmp_path: Path) -> None:
    path = write_f32(zeros(32000, real_tokenizer("llama2")), tmp_path / "like-Phi-3-mini.gguf")
    assert open_gguf(path).metadata["general.name"] == "like-Phi 3-mini"
    with serving(path) as runtime:
        assert runtime.tokenize("Hello")


def test_kinds_of_tokens(tiny_tokenizer_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    shutil.copytree(tiny_tokenizer_dir, folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["<tool>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    count = tokenizer.get_vocab_size()
    written = values(vocabulary(folder, count + 2))
    kinds = dict(zip(written["tokens"], written["token_type"], strict=True))
    assert kinds["<|im_end|>"] == TokenType.CONTROL and kinds["<tool>"] == TokenType.USER_DEFINED
    assert kinds["a"] == TokenType.NORMAL and kinds[f"[PAD{count}]"] == TokenType.UNUSED
    assert len(values(vocabulary(folder, count - 1))["tokens"]) == count - 1  # no row: the model can't be given it
    assert values(vocabulary(folder, count))["model"] == "gpt2"


def test_kinds_and_scores_of_sentencepiece() -> None:
    written = values(vocabulary(real_tokenizer("llama2"), 32000))
    assert written["token_type"][:4] == [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL, TokenType.BYTE]
    scores = dict(zip(written["tokens"], written["scores"], strict=True))
    assert scores["</s>"] == scores["<0x0A>"] == 0.0
    assert scores["▁t"] > scores["er"] > scores["▁the"] > scores["▁capital"]  # in the order of their ids


@pytest.mark.parametrize(
    ("generation", "roles"),
    [
        (2, {"eos": 2}),
        ([2, 0], {"eos": 2, "eot": 0}),
        ([1, 0], {"eos": 2, "eot": 1, "eom": 0}),
    ],
)
def test_all_ids_that_end_an_answer_are_told(
    tiny_tokenizer_dir: Path, tmp_path: Path, generation: Any, roles: dict[str, int]
) -> None:
    folder = tmp_path / "tokenizer"
    shutil.copytree(tiny_tokenizer_dir, folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": generation}), encoding="utf-8")
    written = values(vocabulary(folder, 512))
    assert {role: written.get(f"{role}_token_id") for role in roles} == roles
    assert written["add_bos_token"] is False and written["add_eos_token"] is False


def test_an_unknown_cut_needs_its_name(tiny_tokenizer_dir: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tiny_tokenizer_dir / "tokenizer.json"))
    own = pre_tokenizers.Split(Regex(r"[aeiou]+"), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([own, byte_level])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    shutil.copy(tiny_tokenizer_dir / "tokenizer_config.json", tmp_path)
    with pytest.raises(UserError, match="no known GGUF tokenizer") as told:
        vocabulary(tmp_path, 512)
    assert told.value.field == "gguf_pre" and "gguf_pre" in told.value.hint
    assert values(vocabulary(tmp_path, 512, pre="viking"))["pre"] == "viking"
    with pytest.raises(UserError, match="can't be expressed"):  # a name that is known is proven
        vocabulary(tmp_path, 512, pre="gpt-2")


def test_other_kinds_of_tokenizers_are_refused(tmp_path: Path) -> None:
    from tokenizers import models

    Tokenizer(models.WordLevel({"a": 0}, "a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UserError, match="WordLevel"):
        vocabulary(tmp_path, 1)
