"""Documents as rows without a model: by paragraph, by line, whole, or as the questions and answers written in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from tunesmith.authoring.document import Passage
from tunesmith.authoring.options import Mode
from tunesmith.text.rows import RowError

_ASKED = re.compile(r"^\s*(?:[-*\d.、)）]*\s*)(?:Q(?:uestion)?\s*\d*|问题?\s*\d*|問題?\s*\d*|提问)\s*[:：.、]\s*", re.I)
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_ANSWERED = re.compile(r"^\s*(?:A(?:nswer)?\s*\d*|答案?\s*\d*|回答)\s*[:：.、]\s*", re.I)


@dataclass(frozen=True, slots=True)
class TextRow:
    """A text, or the answer to a question. extras: where it comes from."""

    text: str
    question: str | None = None
    extras: dict[str, Any] = field(default_factory=dict)


def text_rows(passages: Iterable[Passage], mode: Mode) -> Iterator[TextRow | RowError]:
    """paragraph: a row a passage. line: a row a line. section: what stands under one heading, with it. whole: one row.

    qa: what stands after a mark such as `Q:` or `问：` is a question, what follows `A:` or `答：` its answer, up to the
    next question or heading: further paragraphs, lists and blocks of code belong to it, and no line within a block of
    code is a mark. A RowError for a question that has no answer, or where there is none at all.
    """
    if mode == "paragraph":
        yield from (TextRow(passage.text, extras=_extras(passage)) for passage in passages)
    elif mode == "line":
        for passage in passages:
            lines = (line.strip() for line in passage.text.splitlines())
            yield from (TextRow(line, extras=_extras(passage)) for line in lines if line)
    elif mode == "section":
        for heading, under in groupby(passages, key=lambda passage: passage.heading):
            first, *others = under
            texts = [first.text, *(passage.text for passage in others)]
            yield TextRow("\n\n".join([*heading[-1:], *texts]), extras=_extras(first))
    elif mode == "whole":
        yield TextRow("\n\n".join(_with_headings(passages)))
    else:
        yield from _questions(passages)


def _extras(passage: Passage) -> dict[str, Any]:
    """Where a passage stands, under names that no format uses."""
    extras: dict[str, Any] = {}
    if passage.heading:
        extras["heading"] = " > ".join(passage.heading)
    if passage.page is not None:
        extras["page"] = passage.page
    return extras


def _with_headings(passages: Iterable[Passage]) -> Iterator[str]:
    """All texts, each new heading before what stands under it."""
    before: tuple[str, ...] = ()
    for passage in passages:
        same = 0
        while same < min(len(before), len(passage.heading)) and before[same] == passage.heading[same]:
            same += 1
        yield from passage.heading[same:]
        before = passage.heading
        yield passage.text


def _questions(passages: Iterable[Passage]) -> Iterator[TextRow | RowError]:
    question: list[str] | None = None
    answer: list[str] | None = None
    heading: tuple[str, ...] = ()
    extras: dict[str, Any] = {}
    some = False

    def done() -> Iterator[TextRow | RowError]:
        if question is not None:
            asked, answered = "\n".join(question).strip(), "\n".join(answer or ()).strip()
            if asked and answered:
                yield TextRow(answered, asked, extras)
            else:
                yield RowError(f"the question {asked[:60]!r} has no answer")

    for passage in passages:
        if passage.heading != heading:
            yield from done()
            question, answer, heading = None, None, passage.heading
        if question is not None:
            (question if answer is None else answer).append("")  # paragraphs stay apart
        for line, is_code in _told_code(passage.text):
            if not is_code and _ASKED.match(line):
                yield from done()
                question, answer, extras, some = [_ASKED.sub("", line)], None, _extras(passage), True
            elif not is_code and question is not None and answer is None and _ANSWERED.match(line):
                answer = [_ANSWERED.sub("", line)]
            elif question is not None:
                (question if answer is None else answer).append(line)
    yield from done()
    if not some:
        yield RowError("no line begins with a mark such as `Q:` or `问：`")


def _told_code(text: str) -> Iterator[tuple[str, bool]]:
    """The lines, each with whether it belongs to a fenced block of code."""
    fence = ""
    for line in text.splitlines():
        found = _FENCE.match(line)
        yield line, bool(fence or found)
        if found and (not fence or found[1].startswith(fence)):
            fence = "" if fence else found[1]
