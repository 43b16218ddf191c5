"""How byte-level BPE vocabularies cut text into words, by the name GGUF gives it (`tokenizer.ggml.pre`).

The expressions are those of the models' own tokenizer.json files.
"""

from __future__ import annotations

from typing import NamedTuple

from tokenizers import Regex, normalizers, pre_tokenizers
from tokenizers.normalizers import Normalizer
from tokenizers.pre_tokenizers import PreTokenizer


class Cut(NamedTuple):
    """patterns: what one word is, each splitting further what the one before left; none: GPT-2's.

    digits: each digit apart, first. nfc: normalize Unicode before. whole_words: a word that is in the vocabulary is
    taken whole, without merges.
    """

    patterns: tuple[str, ...] = ()
    digits: bool = False
    nfc: bool = False
    whole_words: bool = False


_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_REST = rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
_LLAMA3 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}"
_QWEN2 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CAMEL = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+%s|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*%s"
_SLASHED = rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
_TEKKEN = rf"{_CAMEL % ('', '')}|\p{{N}}|{_SLASHED}"
_GPT4O = rf"{_CAMEL % (_CONTRACTIONS + '?', _CONTRACTIONS + '?')}|\p{{N}}{{1,3}}|{_SLASHED}"
_DEEPSEEK = (
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"""
    rf" ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}",
)

CUTS: dict[str, Cut] = {
    "gpt-2": Cut(),
    "smollm": Cut(digits=True),
    "starcoder": Cut(digits=True),
    "codeshell": Cut(digits=True),
    "qwen2": Cut((_QWEN2,), nfc=True),
    "deepseek-r1-qwen": Cut((_QWEN2,), nfc=True),
    "llama-bpe": Cut((_LLAMA3,), whole_words=True),
    "llama3": Cut((_LLAMA3,), whole_words=True),
    "dbrx": Cut((_LLAMA3,)),  # Phi 4, and all who cut as GPT-4 does
    "chatglm-bpe": Cut((_LLAMA3,)),
    "glm4": Cut((_LLAMA3,)),
    "tekken": Cut((_TEKKEN,), whole_words=True),
    "gpt-4o": Cut((_GPT4O,)),
    "deepseek-v3": Cut(_DEEPSEEK),
}


def pre_tokenizer(cut: Cut) -> PreTokenizer:
    """The cut as the tokenizers library does it, down to bytes."""
    steps: list[PreTokenizer] = [pre_tokenizers.Digits(individual_digits=True)] if cut.digits else []
    steps += [pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False) for pattern in cut.patterns]
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not cut.patterns))
    return pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]


def normalizer(cut: Cut) -> Normalizer | None:
    return normalizers.NFC() if cut.nfc else None
