"""Byte-level BPE through tiktoken: the vocabulary and the split pattern of a tokenizer.json, several times as fast."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.text.spelling import control_pattern

BORDER = "\ufdd4"
"""Noncharacter put between texts that one call encodes; a text that holds it is refused (ValueError)."""

GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# Digits come apart first, one by one; white space before one then ends its part, which the last look-ahead says.
DIGITS_THEN_GPT2_SPLIT = r"\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+"


class FastBpe:
    """Equal to the tokenizer it was built from, as far as `Tokenizer.accelerate` has proven it on real text."""

    def __init__(self, spec: Mapping[str, Any], control: Mapping[str, int], words: Sequence[str] = ()) -> None:
        """spec: a parsed tokenizer.json that `split_pattern` knows. control: control token → id. words: added tokens
        that text reaches; a text with one is left to the tokenizer itself."""
        import tiktoken

        ranks, self._ids = _ranks(spec["model"])
        # A search for nothing costs as much as one for something, at every row: what need not be sought is left out.
        missing = _characters_without(ranks)
        patterns = [re.compile(missing)] if missing else []
        self._refused = patterns + ([control_pattern(words)] if words else [])
        self._control = frozenset(control)
        self._nfc = (spec.get("normalizer") or {}).get("type") == "NFC"
        first = len(self._ids)
        special = {token: first + i for i, token in enumerate(control)}
        self._border = first + len(special)
        pattern = split_pattern(spec)
        assert pattern is not None
        self._core = tiktoken.Encoding(
            "tunesmith", pat_str=pattern, mergeable_ranks=ranks, special_tokens={**special, BORDER: self._border}
        )
        # rank → id, then control tokens, then the border, which is dropped before anyone sees it.
        self._ids = np.concatenate([self._ids, np.array([*control.values(), -1], dtype=np.int32)])

    def spells(self, text: str) -> bool:
        """Whether the vocabulary has every byte of the text (and the text has no border mark or added word in it)."""
        return BORDER not in text and not any(pattern.search(text) for pattern in self._refused)

    def takes(self, text: str) -> bool:
        """Whether this text may be encoded whole (normalizing across a control token could destroy it)."""
        return (not self._nfc or unicodedata.is_normalized("NFC", text)) and self.spells(text)

    def encode(self, texts: Sequence[str], *, control: bool) -> tuple[np.ndarray, np.ndarray]:
        """Ids of all texts end to end (int32), how many each has (int64). control: parse control tokens."""
        if self._nfc and not control:
            texts = [unicodedata.normalize("NFC", text) for text in texts]
        joined = BORDER.join(texts)
        allowed = self._control | {BORDER} if control else {BORDER}
        ranks = self._core.encode_to_numpy(joined, allowed_special=allowed, disallowed_special=())
        borders = np.flatnonzero(ranks == self._border)
        if len(borders) != max(len(texts) - 1, 0):
            raise ValueError("a text holds the border mark")
        edges = np.concatenate([[-1], borders, [len(ranks)]])
        ids = self._ids[ranks]
        return (ids if not len(borders) else np.delete(ids, borders)), np.diff(edges) - 1 if texts else np.zeros(0, int)


def split_pattern(spec: Mapping[str, Any]) -> str | None:
    """The pattern that splits text before merging as the tokenizer does, or None where tiktoken can't do the same."""
    model = spec["model"]
    exotic = model.get("continuing_subword_prefix") or model.get("end_of_word_suffix") or model.get("byte_fallback")
    if model.get("type") != "BPE" or exotic or model.get("dropout"):
        return None
    normalizer = spec.get("normalizer")
    if normalizer and normalizer.get("type") != "NFC" and normalizer.get("normalizers") != []:
        return None
    steps = spec.get("pre_tokenizer") or {}
    steps = steps.get("pretokenizers", [steps])
    *before, last = steps
    if last.get("type") != "ByteLevel" or last.get("add_prefix_space"):
        return None
    if last.get("use_regex", True):
        if not before:
            return GPT2_SPLIT
        digits = before[0].get("type") == "Digits" and before[0].get("individual_digits")
        return DIGITS_THEN_GPT2_SPLIT if len(before) == 1 and digits else None
    regexes = [step.get("pattern", {}).get("Regex") for step in before]
    isolated = all(step.get("behavior") == "Isolated" and not step.get("invert") for step in before)
    if not isolated or None in regexes:
        return None
    return regexes[0] if len(regexes) == 1 else _merged_pattern(regexes)


def _merged_pattern(regexes: Sequence[str]) -> str | None:
    """DeepSeek V3's three splits in a row as one pattern: numbers and CJK first, the rest must not reach into them."""
    if len(regexes) != 3 or regexes[0] != r"\p{N}{1,3}" or regexes[1] != "[一-龥\u3040-ゟ゠-ヿ]+":
        return None
    cjk = "一-龥\u3040-ゟ゠-ヿ"
    expected = (
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
        "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
    )
    if regexes[2] != expected:
        return None
    word = rf"[\p{{L}}\p{{M}}--[{cjk}]]"
    # What none of the three patterns matches stays a part of its own there; tiktoken would drop it.
    unmatched = rf"(?:[^\s\p{{L}}\p{{M}}\p{{P}}\p{{S}}\p{{N}}{cjk}](?!{word}))+"
    return (
        rf"\p{{N}}{{1,3}}|[{cjk}]+"
        r"|[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
        rf"|[^\r\n\p{{L}}\p{{P}}\p{{S}}\p{{N}}{cjk}]?{word}+"
        rf"| ?[[\p{{P}}\p{{S}}]--[{cjk}]]+[\r\n]*|\s*[\r\n]+|\s+(?![^\s\p{{N}}{cjk}])|\s+|{unmatched}"
    )


def _ranks(model: Mapping[str, Any]) -> tuple[dict[bytes, int], np.ndarray]:
    """Bytes → rank in merge order, and rank → id (int32): tiktoken merges by rank, and ids need not follow it."""
    vocab: Mapping[str, int] = model["vocab"]
    to_byte = str.maketrans(byte_alphabet())
    order: dict[str, None] = dict.fromkeys(byte_alphabet())
    for merge in model["merges"]:
        order["".join(merge if isinstance(merge, list) else merge.split(" "))] = None
    if model.get("ignore_merges"):
        # Tokens no merge makes are still taken whole; last, so that they never win over a merge.
        alphabet = set(byte_alphabet())
        order |= dict.fromkeys(token for token in vocab if token not in order and alphabet.issuperset(token))
    known = [token for token in order if token in vocab]
    ranks = {token.translate(to_byte).encode("latin-1"): rank for rank, token in enumerate(known)}
    if len(ranks) != len(known) or any(bytes([byte]) not in ranks for byte in range(0x80, 0xC0)):
        raise ValueError("the vocabulary is not a byte-level one")
    return ranks, np.array([vocab[token] for token in known], dtype=np.int32)


def _characters_without(ranks: Mapping[bytes, int]) -> str:
    """A pattern for the characters whose first UTF-8 byte the vocabulary lacks ('' if it has all)."""
    missing = [byte for byte in range(0xF5) if bytes([byte]) not in ranks]
    ranges = [(byte, byte) for byte in missing if byte < 0x80]
    for lead, end, shift in ((0xC0, 0xE0, 6), (0xE0, 0xF0, 12), (0xF0, 0xF5, 18)):
        ranges += [((b - lead) << shift, ((b - lead + 1) << shift) - 1) for b in missing if lead <= b < end]
    ranges = [(low, min(high, 0x10FFFF)) for low, high in ranges if (low, high) not in ((0, 63), (64, 127))]
    return "|".join(f"[{re.escape(chr(low))}-{re.escape(chr(high))}]" for low, high in ranges)


def byte_alphabet() -> dict[str, str]:
    """GPT-2's printable stand-in for each byte → the character with that byte's number."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in kept]
    pairs = [(chr(byte), chr(byte)) for byte in kept] + [(chr(256 + i), chr(byte)) for i, byte in enumerate(others)]
    return dict(pairs)
