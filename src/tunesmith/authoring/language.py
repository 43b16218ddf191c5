"""Which writing a text is in, by its characters, and which language where one writing serves many."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Literal

Script = Literal["zh", "zh-TW", "ja", "ko", "latin", "cyrillic", "other", "none"]

SHARED: tuple[Script, ...] = ("latin", "cyrillic", "other")
"""Writings that serve many languages."""

CJK = "぀-ヿ㐀-䶿一-鿿豈-﫿가-힯"
"""Characters of Chinese, Japanese and Korean, for a class of a regular expression."""

_HAN = re.compile(r"[㐀-䶿一-鿿豈-﫿]")
_SCRIPTS: tuple[tuple[Script, re.Pattern[str]], ...] = (
    ("ko", re.compile(r"[가-힯ᄀ-ᇿ]")),
    ("latin", re.compile(r"[A-Za-zÀ-ɏ]")),
    ("cyrillic", re.compile(r"[Ѐ-ӿ]")),
    ("other", re.compile(r"[Ͱ-Ͽ֐-ۿऀ-๿]")),
)
_WORD = re.compile(rf"[^\W\d_{CJK}]+")
_KANA = re.compile(r"[぀-ヿ]")
# Frequent characters that are written in one of the two ways only.
_SIMPLIFIED = frozenset(
    "这国个说们为来时学对后会没还发经头开无从动两长请问题过样间关东车见话语书机气电业现实应该让认识谁"
)
_TRADITIONAL = frozenset(
    "這國個說們為來時學對後會沒還發經頭開無從動兩長請問題過樣間關東車見話語書機氣電業現實應該讓認識誰"
)
_SURE = math.log(100)  # how much likelier, by its logarithm, a language must be than another to be told from it
_LEAST_LETTERS = 20
_MARKS_OF_A_WORD = 3  # a Latin word has about so many letters where a Chinese one has a character


def script_of(text: str) -> Script:
    """The writing that most of the text is in; `none` where there are no letters."""
    han = len(_HAN.findall(text))
    kana = len(_KANA.findall(text))
    shares: dict[Script, float] = {script: len(letters.findall(text)) for script, letters in _SCRIPTS}
    for script in ("latin", "cyrillic", "other"):
        shares[script] /= _MARKS_OF_A_WORD
    best = max(shares, key=lambda script: shares[script])
    if han + kana > shares[best]:
        if kana > 0.15 * (han + kana):
            return "ja"
        return "zh-TW" if is_traditional(text) else "zh"
    return best if shares[best] else "none"


def is_traditional(text: str) -> bool:
    """Whether Chinese text is written with traditional characters."""
    return sum(char in _TRADITIONAL for char in text) > sum(char in _SIMPLIFIED for char in text)


def same_language(text: str, script: Script) -> bool:
    """Whether a text may be in a language of that writing; what has no letters fits any."""
    found = script_of(text)
    if found in ("zh", "zh-TW") and script in ("zh", "zh-TW"):
        foreign, own = (_TRADITIONAL, _SIMPLIFIED) if script == "zh" else (_SIMPLIFIED, _TRADITIONAL)
        return sum(char in foreign for char in text) <= sum(char in own for char in text)
    return found == script or "none" in (found, script)


def fits(text: str, script: Script, source: str) -> bool:
    """Whether a text about a source may be in a language of that writing.

    Words that stand in the source don't count, so that an answer may consist of names in another writing.
    """
    if same_language(text, script):
        return True
    rest = _without(text, source)
    if script == "ja" and script_of(text) in ("zh", "zh-TW"):  # a Japanese answer may do without kana
        return len(_HAN.findall(rest)) * 2 <= len(_HAN.findall(text))
    if script_of(rest) == "none":
        return same_language(source, script)
    return same_language(rest, script)


def foreign(text: str, languages: Collection[str], source: str) -> str:
    """The code of the language that a text about a source is in, where that surely is none of `languages`; else empty.

    Words that stand in the source don't count: what mostly consists of them is a quotation, or names.
    """
    own = sum(map(str.isalpha, _without(text, source)))
    if not languages or own < _LEAST_LETTERS or own * 2 < sum(map(str.isalpha, text)):
        return ""
    likely = _likelihoods(text)
    best = max(likely, key=lambda code: likely[code])
    wanted = max(likely.get(code, -math.inf) for code in languages)
    return best if likely[best] - wanted > _SURE else ""


@lru_cache(maxsize=32)
def languages_of(text: str) -> frozenset[str]:
    """Codes (ISO 639-1) of the languages that a text may be in: the likeliest and its near relatives, such as Danish
    beside Norwegian. Empty for a text too short to tell."""
    if sum(map(str.isalpha, text)) < _LEAST_LETTERS:
        return frozenset()
    likely = _likelihoods(text)
    best = max(likely.values())
    return frozenset(code for code, found in likely.items() if best - found <= _SURE)


def _likelihoods(text: str) -> dict[str, float]:
    """Of each language the logarithm of its likelihood. Divided by the root of the length: letters of one word are
    no independent witnesses, and a long text would be surer than it is."""
    import py3langid

    root = math.sqrt(len(text.encode("utf-8", "replace")) or 1)
    return {code: score / root for code, score in py3langid.rank(text)}


def _without(text: str, source: str) -> str:
    """A text without the words, and the pairs of characters, that stand in the source."""
    source = source.casefold()

    def left(found: re.Match[str]) -> str:
        return " " if found[0].casefold() in source else found[0]

    text = _WORD.sub(left, text)
    known = {at + side for at in range(len(text) - 1) if text[at : at + 2] in source for side in (0, 1)}
    return "".join(" " if at in known and _HAN.match(char) else char for at, char in enumerate(text))
