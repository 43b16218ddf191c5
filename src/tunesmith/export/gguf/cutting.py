"""Which of the cuts that llama.cpp knows by name a byte-level tokenizer makes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cache
from typing import Any

from tokenizers import Tokenizer

from tunesmith.errors import UserError
from tunesmith.models.gguf.pretokenizers import CUTS, pre_tokenizer

FIELD = "gguf_pre"

_PIECES = [
    "Hello", "HELLO", "'s", "'S", "’s", "'LL", "I'M", "don't", "'ſ", "1", "12", "123", "1234", "12345678", "①", "½",
    "٣٤", "/", "//", "a/b", "...", "!", "?/", "你好", "，", "世界", "ひらがな", "カナ", "é", "ﬁ", "ǅ", "ʰ", "नमस्ते",
    "ภาษาไทย", "한국어", "🎉", "👩\u200d👩\u200d👧", "__init__", "camelCase", "HTTPServer", "iPhone", "ÉCOLE", "Straße",
    "жУк", "def f(x):", "http://a.b/c?d=e", "x=1;", "\\n", "`", '"', "🇩🇪", "Ⅷ", "كتاب", "עברית", "$x^2$", "<b>",
]  # fmt: skip
_SPACES = [" ", " ", "  ", "    ", "\n", "\r\n", "\t", "\n\n", "/\n", "\u00a0", "\u3000", "!\n"]


@cache
def probes(count: int = 240) -> tuple[str, ...]:
    """Texts that tell tokenizers apart: digits, contractions, scripts, emoji, code, runs of white space."""
    draw = random.Random(0)
    mixed = ("".join(draw.choices(_PIECES + 2 * _SPACES, k=draw.randint(2, 9))) for _ in range(count))
    return (*_PIECES, *_SPACES[1:], *mixed)


def name_of_cut(tokenizer: Tokenizer, spec: Mapping[str, Any]) -> str:
    """GGUF's name of the way a tokenizer cuts words, shown by what it does. UserError if nobody cuts like it.

    spec: its tokenizer.json. Unicode normalization is left aside, since llama.cpp does none.
    """
    own, whole = tokenizer.pre_tokenizer, bool(spec["model"].get("ignore_merges"))
    texts = [normalized(tokenizer, text) for text in probes()]
    # Where only the way a whole word is looked up differs, a vocabulary that merges can make doesn't show it.
    candidates = sorted(CUTS, key=lambda name: CUTS[name].whole_words != whole)
    for name in candidates if own is not None else ():
        theirs = pre_tokenizer(CUTS[name])
        if all(theirs.pre_tokenize_str(text) == own.pre_tokenize_str(text) for text in texts):
            return name
    raise UserError(
        "This model's tokenizer cuts text into words in a way that no known GGUF tokenizer does.",
        hint="Set gguf_pre to llama.cpp's name for it: tokenizer.ggml.pre of another GGUF file of the model.",
        field=FIELD,
    )


def normalized(tokenizer: Tokenizer, text: str) -> str:
    return text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text)
