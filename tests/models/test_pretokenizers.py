"""Byte-level tokenizers rebuilt from GGUF metadata cut text as the models' own tokenizer.json files do."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from gguf import TokenType
from tests.assets import real_tokenizer
from tokenizers import Tokenizer

from tunesmith.models.gguf.file import GGUFFile
from tunesmith.models.gguf.tokenizer import read_tokenizer

PIECES = [
    "Hello", "HELLO", "'s", "'S", "’s", "'LL", "I'M", "don't", "'ſ", "1", "12", "123", "1234", "12345678", "①",
    "½", "٣٤", "/", "//", "a/b", "...", "!", "?/", "你好", "，", "世界", "é", "é", "ﬁ", "Å", "Ǆ", "ǅ", "ª", "ʰ",
    "नमस्ते", "ภาษาไทย", "한국어", "ကြောင်", "🎉", "👩\u200d👩\u200d👧", "__init__", "camelCase", "HTTPServer",
    "iPhone", "ÉCOLE", "Straße", "İstanbul", "жУк", "<|im_end|>", "</s>", "<b>", "http://a.b/c?d=e", "x=1;",
    "\\n", "`", "''", '"', "🇩🇪", "̀", "à́b", "𝔘𝔫𝔦", "Ⅷ", "²", "ً", "كتاب", "עברית",
]  # fmt: skip
SPACES = [
    " ", "  ", "\n", "\r\n", "\t", "\n\n", "/\n", "\u200b", "\u00a0", "\u3000", "\u2028", "\x85", "\x0b",
    "\x00", "\ufeff",
]  # fmt: skip


@pytest.mark.parametrize(("name", "pre"), [("qwen3", "qwen2"), ("llama3", "llama-bpe"), ("mistral_tekken", "tekken")])
def test_words_are_cut_as_the_model_cuts_them(name: str, pre: str) -> None:
    path = real_tokenizer(name) / "tokenizer.json"
    real, rebuilt = Tokenizer.from_file(str(path)), read_tokenizer(as_gguf(path, pre))
    draw = random.Random(0)
    texts = ["".join(draw.choices(PIECES + SPACES * 2, k=draw.randint(1, 9))) for _ in range(3000)]
    for text in [*PIECES, *SPACES, *texts]:
        assert rebuilt.encode(text, add_special_tokens=False) == real.encode(text, add_special_tokens=False).ids, text


def as_gguf(path: Path, pre: str) -> GGUFFile:
    """What a GGUF file would hold of a tokenizer.json."""
    spec = json.loads(path.read_text(encoding="utf-8"))
    added = {token["content"]: token["id"] for token in spec["added_tokens"]}
    ids = {i: token for token, i in {**spec["model"]["vocab"], **added}.items()}
    tokens = [ids.get(i, f"[PAD{i}]") for i in range(max(ids) + 1)]
    kinds = [TokenType.CONTROL if token in added else TokenType.NORMAL for token in tokens]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in spec["model"]["merges"]]
    stored = {"model": "gpt2", "pre": pre, "tokens": tokens, "token_type": kinds, "merges": merges}
    return GGUFFile(path, {f"tokenizer.ggml.{key}": value for key, value in stored.items()}, {}, "")
