"""How byte-level BPE vocabularies cut text into words, by the name GGUF gives it (`tokenizer.ggml.pre`).

The expressions are those of the models' own tokenizer.json files.
"""

from __future__ import annotations

from typing import NamedTuple

from tokenizers import Regex, normalizers, pre_tokenizers
from tokenizers.normalizers import Normalizer
from tokenizers.pre_tokenizers import PreTokenizer


class Cut(NamedTuple):
    """pattern: one word; None: GPT-2's. digits: each digit apart, first. nfc: normalize Unicode before.

    whole_words: a word that is in the vocabulary is taken whole, without merges.
    """

    pattern: str | None = None
    digits: bool = False
    nfc: bool = False
    whole_words: bool = False


_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}"
_QWEN2 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*|\p{{N}}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CUTS: dict[str, Cut] = {
    "gpt-2": Cut(),
    "smollm": Cut(digits=True),
    "starcoder": Cut(digits=True),
    "codeshell": Cut(digits=True),
    "qwen2": Cut(_QWEN2, nfc=True),
    "deepseek-r1-qwen": Cut(_QWEN2, nfc=True),
    "llama-bpe": Cut(_LLAMA3, whole_words=True),
    "llama3": Cut(_LLAMA3, whole_words=True),
    "tekken": Cut(_TEKKEN, whole_words=True),
}


def pre_tokenizer(cut: Cut) -> PreTokenizer:
    """The cut as the tokenizers library does it, down to bytes."""
    if cut.pattern is None:
        words: PreTokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words]) if cut.digits else words
    split = pre_tokenizers.Split(Regex(cut.pattern), behavior="isolated", invert=False)
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def normalizer(cut: Cut) -> Normalizer | None:
    return normalizers.NFC() if cut.nfc else None
