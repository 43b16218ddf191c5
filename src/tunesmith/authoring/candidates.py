"""Questions to a model about each chunk, and the candidates for rows that its answers hold."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from tunesmith.authoring.asking import Question
from tunesmith.authoring.journal import Journal, Planned, Source
from tunesmith.authoring.language import script_of
from tunesmith.authoring.model import Reply
from tunesmith.authoring.options import MakeOptions
from tunesmith.authoring.prompting import LANGUAGES, Language, Prompts, language_for
from tunesmith.authoring.structured import BadAnswer, objects

_TEXT = {"type": "string"}
_ENTRY = {
    "type": "object",
    "properties": {"question": _TEXT, "answer": _TEXT, "evidence": _TEXT},
    "required": ["question", "answer", "evidence"],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {"entries": {"type": "array", "items": _ENTRY}},
    "required": ["entries"],
    "additionalProperties": False,
}
_NAMES = {
    "question": ("question", "instruction", "prompt", "问题", "問題"),
    "answer": ("answer", "output", "response", "答案", "回答"),
    "evidence": ("evidence", "quote", "依据", "依據"),
}
_WRITTEN = {
    "en": "English", "zh": "简体中文", "zh-TW": "繁體中文", "ja": "Japanese", "ko": "Korean", "ru": "Russian",
    "de": "German", "es": "Spanish", "fr": "French",
}  # fmt: skip
"""Languages as the prompts name them."""
TOKENS_PER_ENTRY = 180
"""Question, answer, quotation and JSON, for telling the price before."""
_MOST_PER_ENTRY = 4 * TOKENS_PER_ENTRY


@dataclass(frozen=True, slots=True)
class Candidate:
    """A question and its answer as a model wrote them. language: that they were asked for in."""

    question: str
    answer: str
    evidence: str
    style: str
    source: Source
    language: Language
    prompt: str
    """Which prompt, in which version."""
    key: str = ""
    """Which answer of the journal it comes from, and its number there."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a chunk, with what is needed to read its answer later."""

    question: Question
    source: Source
    language: Language
    styles: tuple[str, ...]
    prompt: str

    def planned(self, model: str) -> Planned:
        """What the journal keeps of it."""
        tokens = self.question.prompt_tokens
        return Planned(self.question.id(model), self.language, self.styles, self.prompt, tokens)


def questions(journal: Journal, options: MakeOptions, prompts: Prompts) -> Iterator[Asked]:
    """One question for each chunk.

    Kinds of questions take turns over the chunks of a document. Where they begin is drawn by its name, so that what is
    asked about a document does not depend on the others.
    """
    kinds = {language: tuple(prompts.styles(language, options.styles).items()) for language in LANGUAGES}
    document, turn = None, 0
    for source in journal.sources():
        asked_for = options.language
        language = language_for(script_of(source.chunk.text) if asked_for == "auto" else asked_for)
        template = prompts.get("questions", language)
        count = max(1, math.ceil(options.entries * source.chunk.tokens / options.chunk_tokens - 0.5))
        if source.path != document:
            document, turn = source.path, crc32(source.path.as_posix().encode("utf-8", "replace"))
        styles = [kinds[language][(turn + at) % len(kinds[language])] for at in range(count)]
        turn += count
        messages = template.render(
            count=count,
            styles=[text for _, text in styles],
            title=source.title,
            heading=" > ".join(source.chunk.heading),
            before=source.chunk.before,
            text=source.chunk.shown,
            language=_written(language, asked_for),
        )
        question = Question("questions", messages, SCHEMA, _reader(count), _settings(options), count * _MOST_PER_ENTRY)
        yield Asked(question, source, language, tuple(name for name, _ in styles), template.version)


def candidates(journal: Journal) -> Iterator[Candidate]:
    """What has been answered up to now, in the order of the documents."""
    for source, planned in journal.planned():
        answer = journal.answer(planned.question)
        for at, entry in enumerate(answer.value if answer is not None and answer.state == "answered" else ()):
            style = planned.styles[at] if at < len(planned.styles) else ""
            yield Candidate(
                entry["question"], entry["answer"], entry["evidence"], style, source, planned.language,
                planned.prompt, f"{planned.question[:16]}-{at}",
            )  # fmt: skip


def _written(language: Language, asked_for: str) -> str:
    if asked_for == "auto" and language == "en":
        return "the language of the document"
    return _WRITTEN[language if asked_for == "auto" else asked_for]


def _settings(options: MakeOptions) -> dict[str, Any]:
    """What decides an answer beside the messages."""
    return {} if options.temperature is None else {"temperature": options.temperature}


def _reader(count: int) -> Any:
    def read(reply: Reply) -> list[dict[str, str]]:
        found = objects(reply.text, "entries")
        if reply.cut:
            found = found[:-1]  # the last one is not whole
        entries = [{name: _value(entry, names) for name, names in _NAMES.items()} for entry in found[:count]]
        usable = [entry for entry in entries if entry["question"] and entry["answer"]]
        if not usable:
            raise BadAnswer('its entries have no texts "question" and "answer"')
        return usable

    return read


def _value(entry: dict[str, Any], names: tuple[str, ...]) -> str:
    found = next((entry[name] for name in names if isinstance(entry.get(name), str)), "")
    return re.sub(r"^\s*\d{1,2}[.、)]\s*", "", found).strip() if names[0] == "question" else found.strip()
