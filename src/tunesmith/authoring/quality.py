"""Which candidates become rows: cheap checks first, each rejection with its reason."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from tunesmith.authoring.candidates import Candidate
from tunesmith.authoring.language import CJK, SHARED, Script, fits, foreign, languages_of, same_language, script_of
from tunesmith.authoring.options import MakeOptions
from tunesmith.authoring.structured import REFUSALS
from tunesmith.i18n import plural

_NOUN = r"(?:text|passage|excerpt|document|context|article|chunk|section|chapter|author)"
_TELLS = (
    r"(?:say|state|mention|describe|explain|suggest|discuss|tell|indicate|note|claim|argue|refer|imply"
    r"|emphasize|depict)"
)
_ENDS = r"(?=\s*(?:[,.;:?!)。，]|$))"
_CHINESE_NOUN = "(?:文本|文档|文檔|文件|材料|文章|原文|上文|文中|段落|内容|內容|报告|報告)"
# What only somebody says who has a text before them.
_OF_THE_TEXT = re.compile(
    rf"\b(?:according to|based on|as per) (?:the|this) (?:\w+ )?{_NOUN}{_ENDS}"
    rf"|\b(?:the|this) (?:\w+ )?{_NOUN} (?:above |below )?(?:(?:does|did) not |doesn't |also |explicitly )?"
    rf"{_TELLS}(?:s|es|d|ed|ing)?\b"
    rf"|[根依]据(?:本|该|这篇|这段|以上|上述|给定的?|所给的?)?{_CHINESE_NOUN}(?=[，,：:]|内容|所述|所说|可知|中的)"
    rf"|[根依]據(?:本|該|這篇|這段|以上|上述|給定的?|所給的?)?{_CHINESE_NOUN}(?=[，,：:]|內容|所述|所說|可知|中的)"
    r"|(?:报告|文章|材料)(?:中)?提到|(?:報告|文章|材料)(?:中)?提到"
    r"|(?:^|[^一-鿿]|[在从從如据據])(?:文中|上文)(?=[，,的提所描说說指没沒未])"
    r"|(?:^|[^一-鿿]|[在从從据據])本文(?![件化明书書字献獻体體学學物])",
    re.IGNORECASE | re.MULTILINE,
)
# What is said of a text too, but may as well be the matter itself: its word then stands in the source.
_MAYBE_OF_THE_TEXT = re.compile(
    rf"\b(?:in|from|of|by) (?:the|this|the above) (?P<english>{_NOUN}){_ENDS}"
    rf"|\b(?:the (?:given|provided|above)) (?P<given>{_NOUN})\b"
    r"|(?P<chinese>原文|这段(?:文字|话|内容)|這段(?:文字|話|內容)|给定的?(?:文本|文字)|給定的?(?:文本|文字))",
    re.IGNORECASE,
)
_WRITING: dict[str, Script] = {
    "en": "latin", "de": "latin", "es": "latin", "fr": "latin", "ru": "cyrillic",
    "zh": "zh", "zh-TW": "zh-TW", "ja": "ja", "ko": "ko",
}  # fmt: skip
"""Of the languages that may be asked for."""
_PLACEHOLDER = re.compile(r"^[\s.…?？]*$|^<[^>]*>$|\bTODO\b|(?i:\blorem ipsum\b)")
_CJK_RUN = re.compile(f"[{CJK}]+")
_WORD = re.compile(rf"[^\W_{CJK}]{{3,}}")
_LETTER = re.compile(r"[A-Za-zÀ-ɏЀ-ӿ]")
_STEM = 5  # letters of a word that are compared: "judges", "judged" and "judging" are near enough
_MISQUOTED = 85.0  # how alike, of 100, a quotation must be to a place in the text


@dataclass(frozen=True, slots=True)
class Passed:
    """Where the evidence stands: characters of the document. grounding: share of the answer's words in the chunk."""

    start: int | None
    end: int | None
    grounding: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A candidate that becomes no row. kind: one word to count by."""

    kind: str
    reason: str


def check(candidate: Candidate, options: MakeOptions) -> Passed | Failed:
    """What can be told of a candidate by itself."""
    question, answer = candidate.question, candidate.answer
    both = f"{question}\n{answer}"
    if _PLACEHOLDER.search(question) or _PLACEHOLDER.search(answer):
        return Failed("empty", "the question or the answer is a placeholder")
    characters = plural("{count:,} character", "{count:,} characters", len(answer))
    if len(answer) < options.min_chars:
        return Failed("length", f"the answer has {characters}, and at least {options.min_chars} are wanted")
    if options.max_chars and len(answer) > options.max_chars:
        return Failed("length", f"the answer has {characters}, and at most {options.max_chars} are wanted")
    if found := REFUSALS.search(both):
        return Failed("refusal", f"the model declines to answer ({found[0]!r})")
    if found := _refers_to_the_text(both, candidate.source.chunk.text):
        return Failed("refers to the text", f"it can't be understood alone ({found[0]!r})")
    script = script_of(candidate.source.chunk.text)
    wanted = script if options.language == "auto" else _WRITING[options.language]
    for name, text in (("the question", question), ("the answer", answer)):
        if not fits(text, wanted, candidate.source.chunk.text):
            return Failed("language", f"{name} is in {script_of(text)} writing, and {wanted} is wanted")
    if wanted in SHARED and (failed := _in_another_language(candidate, options)):
        return failed
    translated = script in SHARED and options.language not in ("auto", *languages_of(candidate.source.chunk.text))
    return _grounded(candidate, options, comparable=same_language(answer, script) and not translated)


def _in_another_language(candidate: Candidate, options: MakeOptions) -> Failed | None:
    """An answer may quote the source in its language; a question is in the one that is asked for."""
    source = candidate.source.chunk.text
    spoken = languages_of(source)
    wanted = spoken if options.language == "auto" else {options.language}
    asked_of = source if wanted & spoken else ""
    for name, text, known in (("the question", candidate.question, asked_of), ("the answer", candidate.answer, source)):
        if other := foreign(text, wanted, known):
            return Failed("language", f"{name} is in another language ({other})")
    return None


def _refers_to_the_text(said: str, source: str) -> re.Match[str] | None:
    if found := _OF_THE_TEXT.search(said):
        return found
    source = source.casefold()
    maybe = _MAYBE_OF_THE_TEXT.finditer(said)
    return next((one for one in maybe if (one[one.lastgroup or 0]).casefold() not in source), None)


def _grounded(candidate: Candidate, options: MakeOptions, *, comparable: bool) -> Passed | Failed:
    """comparable: answer and chunk are in one language, so that words can be looked up."""
    chunk = candidate.source.chunk
    span = find_quote(candidate.evidence, chunk.text) if candidate.evidence else None
    share = grounding(answer_words := words(candidate.answer), words(f"{chunk.shown}\n{chunk.before}"))
    if options.grounding:
        if candidate.evidence and span is None:
            return Failed("evidence", f"what it cites does not stand in the text: {candidate.evidence[:80]!r}")
        if comparable and answer_words and share < options.grounding:
            return Failed("grounding", f"only {share:.0%} of the answer's words stand in the text")
    if span is None:
        return Passed(None, None, round(share, 3))
    return Passed(chunk.start + span[0], chunk.start + span[1], round(share, 3))


def grounding(answer: set[str], text: set[str]) -> float:
    """Share of an answer's words that the text has; 1 for an answer without words."""
    return len(answer & text) / len(answer) if answer else 1.0


def words(text: str) -> set[str]:
    """What of a text is compared: pairs of neighbouring CJK characters, and beginnings of words."""
    text = unicodedata.normalize("NFKC", text).casefold()
    pairs = {run[at : at + 2] for run in _CJK_RUN.findall(text) for at in range(max(1, len(run) - 1))}
    return pairs | {word[:_STEM] for word in _WORD.findall(text)}


def find_quote(quote: str, text: str) -> tuple[int, int] | None:
    """Characters [start, end) of a text that a quotation, perhaps slightly misspelled, is taken from."""
    quote = quote.strip().strip("…\"“”「」'").strip()
    if not quote:
        return None
    if (at := text.find(quote)) >= 0:
        return at, at + len(quote)
    from rapidfuzz import fuzz

    # Line breaks and width of characters don't count; each stands for one character, so places stay what they are.
    flat_text, flat_quote = _flat(text), _flat(quote)
    if (at := flat_text.find(flat_quote)) >= 0:
        return at, at + len(flat_quote)
    if len(quote) > len(text):
        return None
    best = fuzz.partial_ratio_alignment(flat_quote, flat_text, score_cutoff=_MISQUOTED)
    return None if best is None else _whole_words(text, best.dest_start, best.dest_end)


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """The same place with the words at its borders whole; Chinese has none that could be cut."""
    while start > 0 and _LETTER.match(text, start - 1) and _LETTER.match(text, start):
        start -= 1
    while end < len(text) and _LETTER.match(text, end - 1) and _LETTER.match(text, end):
        end += 1
    return start, end


def _flat(text: str) -> str:
    return "".join(_FLAT.get(char, char) for char in text).lower() if text.isascii() else _flat_wide(text)


def _flat_wide(text: str) -> str:
    flat = []
    for char in text:
        plain = _FLAT.get(char) or unicodedata.normalize("NFKC", char).casefold()
        flat.append(plain if len(plain) == 1 else char)
    return "".join(flat)


_FLAT = {"\n": " ", "\t": " ", "\r": " ", "“": '"', "”": '"', "「": '"', "」": '"', "‘": "'", "’": "'", "—": "-"}
