"""Novels: quotations, and who says them by the names and verbs beside them. Nothing here asks a model."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from tunesmith.authoring.dialogue import chinese, english
from tunesmith.authoring.dialogue.chinese import SOMEBODY, Names, is_written
from tunesmith.authoring.dialogue.line import Line, Paragraph

_PAIRS = {"“": "”", "「": "」", "『": "』", '"': '"', "„": "“", "«": "»"}
_OPENING = re.compile(f"[{''.join(map(re.escape, _PAIRS))}]")
_NEAR = 120  # characters beside a quotation in which a speaker is looked for
_ENDS_SPOKEN = re.compile(r"[。！？!?…，,.—~；;：:-]$")


@dataclass(frozen=True, slots=True)
class _Quote:
    """Characters [start, end) of a paragraph between quotation marks, of which the second ends at `after`."""

    start: int
    end: int
    after: int


def read_novel(found: Sequence[Paragraph], roles: Collection[str] = ()) -> list[Line]:
    """Everything that is said, with its speaker where the text or the taking of turns tells."""
    quoted = [(paragraph.text, quote) for paragraph in found for quote in _quotes(paragraph.text)]
    leads = (text[max(0, quote.start - _NEAR) : quote.start - 1] for text, quote in quoted)
    tags = (text[quote.after : quote.after + _NEAR] for text, quote in quoted)
    names = Names(leads, tags, roles)
    known = {*roles, *_english_names(quoted)}
    lines: list[Line] = []
    continued: str | None = None
    for at, paragraph in enumerate(found):
        quotes = list(_quotes(paragraph.text))
        said = [quote for quote in quotes if _is_spoken(paragraph.text, quote)]
        speakers = _speakers(paragraph.text, quotes, said, names, known)
        if continued is not None and said and speakers[0] is None and paragraph.text.lstrip()[:1] in _PAIRS:
            speakers[0] = continued
        for quote, speaker in zip(said, speakers, strict=True):
            text = paragraph.text[quote.start : quote.end].strip()
            start = paragraph.start + quote.start
            lines.append(
                Line(text, speaker, "named" if speaker else "", start, paragraph.start + quote.end, paragraph.scene, at)
            )
        open_ended = bool(quotes) and quotes[-1].after == quotes[-1].end == len(paragraph.text)
        continued = speakers[-1] if open_ended and speakers else None
    return list(_by_turns(_joined(lines)))


def _quotes(text: str) -> Iterator[_Quote]:
    """Quotations of the outermost level; one that is not closed goes to the paragraph's end."""
    at = 0
    while opening := _OPENING.search(text, at):
        closing = _PAIRS[opening[0]]
        end = text.find(closing, opening.end())
        if opening[0] != closing:
            end = _closing(text, opening.end(), opening[0], closing)
        if end < 0:
            yield _Quote(opening.end(), len(text), len(text))
            return
        yield _Quote(opening.end(), end, end + 1)
        at = end + 1


def _closing(text: str, at: int, opening: str, closing: str) -> int:
    """Where a quotation ends, quotations inside it passed over; -1 where it is not closed."""
    depth = 1
    while at < len(text):
        if text[at] == opening:
            if depth == 1 and text[at - 1] in "。！？":  # the wrong mark at the end of a speech
                return at
            depth += 1
        elif text[at] == closing:
            depth -= 1
            if not depth:
                return at
        at += 1
    return -1


def _is_spoken(text: str, quote: _Quote) -> bool:
    """Whether a quotation is speech, and not a word that is called so."""
    inside = text[quote.start : quote.end].strip()
    if not inside:
        return False
    before = text[: quote.start - 1].rstrip()
    after = text[quote.after : quote.after + _NEAR]
    if is_written(before):
        return False
    if before.endswith(("：", ":")) or _ENDS_SPOKEN.search(inside):
        return True
    return english.tells(after) or (not before and chinese.tells(after))


def _speakers(
    text: str, quotes: Sequence[_Quote], said: Sequence[_Quote], names: Names, known: Collection[str]
) -> list[str | None]:
    """The speaker of each spoken quotation of a paragraph. known: names of those who speak, in English."""
    found: list[str | None] = []
    ends = [0, *(quote.after for quote in quotes)]
    for number, quote in enumerate(said):
        previous = max(end for end in ends if end < quote.start)
        following = min((each.start - 1 for each in quotes if each.start > quote.start), default=len(text))
        before, after = text[previous : quote.start - 1], _without_lead(text[quote.after : following])
        behind_another = number > 0 and said[number - 1].after == previous
        speaker = None
        leads = before.rstrip().endswith(("：", ":"))
        if leads or not (behind_another and _tells(before)):
            speaker = _named_before(before, names)
        if speaker is None and not leads:
            speaker = english.after(after) or names.after(after)
        # “……”皇上说，“……”: the second part is of whom the first is.
        goes_on = behind_another and not leads and (_tells(before) or not re.search(r"[。.!?！？]", before.strip()))
        if speaker is None and goes_on:
            speaker = found[number - 1]
        if speaker is None and previous == 0 and before.strip():
            # Who acts in the paragraph speaks in it: Stubb laughed. “…”
            actor = english.acting(before)
            speaker = actor if actor in known else names.acting(before)
        found.append(speaker)
    return found


def _without_lead(after: str) -> str:
    """What follows a quotation, without the sentence that leads to the next one."""
    if not after.rstrip().endswith(("：", ":")):
        return after
    ends = [found.end() for found in re.finditer(r"[。！？]|[.!?]\s", after)]
    return after[: ends[-1]] if ends else ""


def _english_names(quoted: Sequence[tuple[str, _Quote]]) -> Iterator[str]:
    """Names that stand beside a verb of speech."""
    for text, quote in quoted:
        before = english.before(text[max(0, quote.start - _NEAR) : quote.start - 1])
        after = english.after(text[quote.after : quote.after + _NEAR])
        yield from (name for name in (before, after) if name is not None)


def _tells(between: str) -> bool:
    return chinese.tells(between) or english.tells(between)


def _named_before(before: str, names: Names) -> str | None:
    sentence = re.split(r"[。！？!?\n]|(?<=[^A-Z]{2})\.\s", before.rstrip())[-1]
    return (english.before(sentence) or names.before(sentence)) if sentence.strip() else None


def _joined(lines: Sequence[Line]) -> list[Line]:
    """Parts of one speech in one paragraph as one line."""
    joined: list[Line] = []
    for line in lines:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.paragraph == line.paragraph
            and last.speaker == line.speaker not in (None, SOMEBODY)
        ):
            space = "" if re.search(r"[一-鿿，。！？]$", last.text) else " "
            joined[-1] = replace(last, text=f"{last.text}{space}{line.text}", end=line.end)
        else:
            joined.append(line)
    return joined


def _by_turns(lines: Sequence[Line]) -> Iterator[Line]:
    """Two who speak in turn: an unnamed line behind one of the first is the second's."""
    told: list[Line] = []
    for line in lines:
        if line.speaker is None and len(told) > 1:
            second, first = told[-1], told[-2]
            near = line.scene == first.scene and line.paragraph - second.paragraph == 1
            if near and second.speaker and first.speaker and second.speaker != first.speaker:
                line = replace(line, speaker=first.speaker, attribution="turn")
        told.append(line)
        yield line
