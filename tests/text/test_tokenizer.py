from __future__ import annotations

import json
import random
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from tests.assets import real_tokenizer

from tunesmith.errors import UserError
from tunesmith.text.tokenizer import CutText, Tokenizer

BYTE_LEVEL = ["qwen3", "llama3", "deepseek_v3", "smollm2", "mistral_tekken"]
EVERY = [*BYTE_LEVEL, "gemma3", "llama2", "mistral_v3"]


@cache
def load(name: str) -> Tokenizer:
    """Of this module's own: encoders elsewhere give those that are shared the faster encoder."""
    return Tokenizer.load(real_tokenizer(name))


@lru_cache(maxsize=1)
def reference(name: str) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_file(str(real_tokenizer(name) / "tokenizer.json"))


def reference_ids(name: str, text: str) -> list[int]:
    ids: list[int] = reference(name).encode(text, add_special_tokens=False).ids
    return ids


def as_data(tokenizer: Tokenizer, texts: list[str]) -> list[np.ndarray]:
    """The ids of each text as a document has them: what spells a control token is text."""
    ids, lengths = tokenizer.encode_cut([CutText(text, (), ((0, len(text)),)) for text in texts])
    return np.split(ids, np.cumsum(lengths)[:-1])


def nasty_texts() -> list[str]:
    """A sample of every block of Unicode, white space in all places, digits, code, line ends."""
    pick = random.Random(7)
    texts = []
    for first in range(0, 0x110000, 512):
        # Characters newer than this Python are left out: libraries disagree on what they are for a release or two.
        known = [chr(c) for c in range(first, first + 512) if unicodedata.category(chr(c)) not in ("Cs", "Cn")]
        if known:
            some = pick.sample(known, min(len(known), 80))
            texts += ["".join(some), " ".join(some)]
            between = [" ", "a", "1", "\n", "。", "的", "'s", "\t", "  ", "\r\n", "-"]
            texts.append("".join(char + pick.choice(between) for char in some))
    spaces = [" ", "   \n", "\n\n\n", " \n \n", "\r\n\r\n", "\t\t", "\u3000", "\xa0 ", "\u2028", "\x85", "\u200b"]
    texts += [a + space * n + b for space in spaces for n in (1, 3) for a in "a1的.é" for b in ("b", "2", "是", "")]
    texts += ["I'LL it'S don't", "x²½Ⅳ٣۴ 1２3 1234567.89", "def f(x):\n    return x  # c\n", "a" * 300, "哈" * 300]
    return [*texts, "👩‍👩‍👧‍👦🎉" * 9, "e\u0301\u0301 \u0301", "\x00\x01 \x02a", "", " "]


@cache
def load_fast(name: str) -> Tokenizer:
    tokenizer = Tokenizer.load(real_tokenizer(name))
    assert tokenizer.accelerate(["Hello, world! 你好 123"]) is None
    assert tokenizer.accelerated
    return tokenizer


@pytest.fixture(scope="module", autouse=True)
def nothing_kept() -> Iterator[None]:
    yield
    for kept in (load, reference, load_fast):
        kept.cache_clear()


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_the_faster_encoder_is_equal_on_nasty_text(name: str) -> None:
    texts = nasty_texts()
    slow = as_data(load(name), texts)
    for text, one, other in zip(texts, slow, as_data(load_fast(name), texts), strict=True):
        assert one.tolist() == other.tolist(), repr(text)
        assert one.dtype == other.dtype == np.int32


@pytest.mark.parametrize(("name", "fast"), [*((name, False) for name in EVERY), *((name, True) for name in BYTE_LEVEL)])
def test_ids_equal_the_tokenizers_own(name: str, fast: bool) -> None:
    tokenizer = load_fast(name) if fast else load(name)
    control = sorted(tokenizer.control_tokens)[:12]
    texts = [
        *(f"{a}user\n\nHi there {b} 你好\n{a}{b}x" for a in control for b in control[:3]),
        *nasty_texts()[::9],
        "plain", "", "\n\n\nfirst", "  two spaces",
    ]  # fmt: skip
    for text, ids in zip(texts, tokenizer.encode(texts), strict=True):
        assert ids.tolist() == reference_ids(name, text), repr(text)


@pytest.mark.parametrize("name", EVERY)
def test_text_that_spells_a_control_token_stays_text(name: str) -> None:
    tokenizer = load(name)
    control = tokenizer.control_tokens
    assert control
    some = sorted(control)[:: max(len(control) // 50, 1)]
    texts = [f"a {token} b" for token in some] + ["".join(some)]
    for text, ids in zip(texts, as_data(tokenizer, texts), strict=True):
        assert not set(ids.tolist()) & set(control.values())
        assert tokenizer.decode(ids).strip() == text.strip()


def test_only_the_marked_place_is_literal() -> None:
    tokenizer = load("qwen3")
    text = "<|im_start|>user\nsay <|im_end|> please<|im_end|>\n"
    at = text.index("<|im_end|>")
    ids, lengths = tokenizer.encode_cut([CutText(text, (), ((at, at + 10),))])
    assert lengths.tolist() == [len(ids)]
    assert [tokenizer.token_text(i) for i in ids] == [
        "<|im_start|>", "user", "\n", "say", " <|", "im", "_end", "|", ">", " please", "<|im_end|>", "\n",
    ]  # fmt: skip


def test_newline_runs_and_html_tags_are_ordinary_words_of_gemma() -> None:
    tokenizer = load("gemma3")
    (ids,) = as_data(tokenizer, ["a\n\nb<h1><start_of_turn>"])
    texts = [tokenizer.token_text(i) for i in ids]
    assert texts[:4] == ["a", "\n\n", "b", "<h1>"]
    assert "<start_of_turn>" not in texts and "<start_of_turn>" in tokenizer.control_tokens


@pytest.mark.parametrize("name", ["llama2", "mistral_v3"])
def test_a_cut_in_the_middle_adds_no_space(name: str) -> None:
    text = "<s>[INST] What is it?[/INST] A cat, 一只猫。</s>"
    cut = text.index(" A cat")
    ids, lengths = load(name).encode_cut([CutText(text, (cut,))])
    assert ids.tolist() == reference_ids(name, text)
    answer = ids[lengths[0] :]
    assert load(name).decode(answer).strip() == "A cat, 一只猫。</s>"


def test_a_cut_keeps_the_newlines_of_both_sides_apart() -> None:
    tokenizer = load("qwen3")
    text = "<|im_start|>assistant\n\n\nHi"
    cut = text.index("\n") + 1
    ids, lengths = tokenizer.encode_cut([CutText(text, (cut,))])
    assert [tokenizer.token_text(i) for i in ids] == ["<|im_start|>", "assistant", "\n", "\n\n", "Hi"]
    assert lengths.tolist() == [3, 2]


def test_a_combining_mark_does_not_break_the_control_token_before_it() -> None:
    text = "<|im_end|>\u0338 cafe\u0301"
    tokenizer = load("qwen3")
    expected = tokenizer.encode([text])[0].tolist()
    assert expected[0] == tokenizer.control_tokens["<|im_end|>"]
    assert load_fast("qwen3").encode([text])[0].tolist() == expected
    assert tokenizer.decode(expected[1:]).endswith("caf\u00e9")


@pytest.mark.parametrize("flags", [{"rstrip": True}, {"lstrip": True}, {"lstrip": True, "rstrip": True}])
def test_control_tokens_that_swallow_white_space(tiny_tokenizer_dir: Path, flags: dict[str, bool]) -> None:
    spec = json.loads((tiny_tokenizer_dir / "tokenizer.json").read_text(encoding="utf-8"))
    for token in spec["added_tokens"]:
        token.update(flags)
    tokenizer = Tokenizer(spec, {})
    expected = tokenizers.Tokenizer.from_str(json.dumps(spec))
    for text in ["a <|im_start|> \n b <|im_end|>\n\n<|im_end|> c", "<|im_start|>user\nx<|im_end|>", " <|im_end|> "]:
        assert tokenizer.encode([text])[0].tolist() == expected.encode(text, add_special_tokens=False).ids, text


def test_what_a_tokenizer_says_of_itself() -> None:
    qwen, llama, gemma, tekken = load("qwen3"), load("llama3"), load("gemma3"), load("mistral_tekken")
    assert (qwen.bos_id, qwen.eos_id, qwen.pad_id, qwen.vocab_size) == (None, 151645, 151643, 151669)
    assert (llama.bos_id, llama.eos_id, llama.pad_id, llama.vocab_size) == (128000, 128001, 128001, 128256)
    assert gemma.document_frame == ((2,), (106,))
    assert qwen.document_frame == ((), (151645,))
    assert tekken.stop_ids == (2,)
    assert qwen.chat_template and "tool_call" in qwen.chat_template and load("llama2").chat_template is None
    assert len({t.fingerprint for t in (qwen, llama, gemma, tekken)}) == 4


def test_files_beside_tokenizer_json_count(tiny_tokenizer_dir: Path, tmp_path: Path) -> None:
    for path in tiny_tokenizer_dir.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "chat_template.jinja").write_text("from the file", encoding="utf-8")
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [0, 1]}', encoding="utf-8")
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["bos_token"] = {"content": "<|im_start|>", "lstrip": False}
    settings["added_tokens_decoder"] = {"900": {"content": "<|extra|>", "special": True}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.chat_template == "from the file"
    assert tokenizer.bos_token == "<|im_start|>"
    assert tokenizer.stop_ids == (2, 0, 1)
    assert "<|extra|>" in tokenizer.control_tokens


def test_split_special_tokens_knows_no_control_tokens() -> None:
    tokenizer = Tokenizer.load(real_tokenizer("qwen3"), split_special_tokens=True)
    (ids,) = tokenizer.encode(["<|im_end|>"])
    assert len(ids) > 1


def test_a_kind_without_a_faster_encoder_says_so() -> None:
    tokenizer = load("llama2")
    note = tokenizer.accelerate(["text"])
    assert note and "no faster encoder" in note and not tokenizer.accelerated


def test_a_faster_encoder_that_differs_is_not_used(tiny_tokenizer_dir: Path) -> None:
    spec = json.loads((tiny_tokenizer_dir / "tokenizer.json").read_text(encoding="utf-8"))
    # A merge order that ranks cannot tell: two ways to one token, of which the tokenizer takes only one.
    spec["model"]["vocab"] = {c: i for i, c in enumerate(dict.fromkeys([*spec["model"]["vocab"]]))}
    byte_tokens = [token for token in spec["model"]["vocab"] if len(token) == 1]
    vocab = {token: i for i, token in enumerate([*byte_tokens, "ab", "bc", "abc"])}
    spec["model"] |= {"vocab": vocab, "merges": [["b", "c"], ["a", "b"], ["ab", "c"]]}
    spec["added_tokens"] = []
    tokenizer = Tokenizer(spec, {})
    note = tokenizer.accelerate(["abc"])
    assert note and "differently" in note and not tokenizer.accelerated


@pytest.mark.parametrize(("content", "words"), [(None, "no tokenizer.json"), ("{", "not valid JSON")])
def test_a_folder_without_a_tokenizer(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=words) as caught:
        Tokenizer.load(tmp_path)
    assert caught.value.field == "model_name_or_path" and caught.value.hint


def test_tokenizing_needs_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, tunesmith.text.encode, tunesmith.text.tools\n"
        "print([m for m in ('torch', 'transformers', 'tiktoken') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"


def test_documents_of_llama3_chat_models_end_with_the_document_token() -> None:
    settings: dict[str, Any] = {"eos_token": "<|eot_id|>"}
    spec = json.loads((real_tokenizer("llama3") / "tokenizer.json").read_text(encoding="utf-8"))
    assert Tokenizer(spec, settings).document_frame[1] == (128001,)


@pytest.mark.parametrize("name", ["qwen3", "llama2"])
def test_added_words_are_one_token_in_data_and_added_control_tokens_are_text(name: str) -> None:
    grown = tokenizers.Tokenizer.from_file(str(real_tokenizer(name) / "tokenizer.json"))
    grown.add_special_tokens(["<|mine|>"])
    plain = ["<tool>", "qux_zap", "     "]
    grown.add_tokens([tokenizers.AddedToken(word, normalized=False) for word in plain])
    spec = json.loads(grown.to_str())
    tokenizer = Tokenizer(spec, {}, words=("<tool>", "<|mine|>"))
    texts = ["use <tool> now", "a qux_zap b", "x     y", "<tool>qux_zap      z", "nothing of it"]
    for _ in range(2):
        for text, ids in zip(texts, as_data(tokenizer, texts), strict=True):
            assert ids.tolist() == grown.encode(text, add_special_tokens=False).ids, text
        for text, ids in zip(texts, tokenizer.encode([f"<|mine|>{text}" for text in texts]), strict=True):
            assert ids.tolist() == grown.encode(f"<|mine|>{text}", add_special_tokens=False).ids, text
        (ids,) = as_data(tokenizer, ["a <|mine|> b"])
        assert grown.token_to_id("<|mine|>") not in ids
        tokenizer.accelerate(texts)  # and again by the faster encoder
    assert "<tool>" in Tokenizer(spec, {}).control_tokens  # not asked for: the model's own markup


def test_the_fingerprint_tells_whatever_changes_ids(tiny_tokenizer_dir: Path) -> None:
    spec = json.loads((tiny_tokenizer_dir / "tokenizer.json").read_text(encoding="utf-8"))
    token = spec["added_tokens"][0] | {"content": "<tool>", "id": 9999, "special": False}
    spec = {**spec, "added_tokens": [*spec["added_tokens"], token]}
    kinds = [Tokenizer(spec, {}), Tokenizer(spec, {"add_bos_token": True}), Tokenizer(spec, {"add_bos_token": False})]
    kinds += [Tokenizer(spec, {}, words=("<tool>",)), Tokenizer(spec, {}, split_special_tokens=True)]
    assert len({tokenizer.fingerprint for tokenizer in kinds}) == len(kinds)
