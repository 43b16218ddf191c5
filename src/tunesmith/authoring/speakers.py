"""A model tells who says the lines that the text puts no name to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tunesmith.authoring.asking import Question
from tunesmith.authoring.chunk import estimate_tokens
from tunesmith.authoring.dialogue.chinese import SOMEBODY
from tunesmith.authoring.language import script_of
from tunesmith.authoring.model import Reply
from tunesmith.authoring.options import RolesOptions
from tunesmith.authoring.prompting import Prompts, language_for
from tunesmith.authoring.roles import Spoken, is_role
from tunesmith.authoring.structured import BadAnswer, objects

_SPEAKER = {
    "type": "object",
    "properties": {"line": {"type": "integer"}, "speaker": {"type": "string"}},
    "required": ["line", "speaker"],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {"speakers": {"type": "array", "items": _SPEAKER}},
    "required": ["speakers"],
    "additionalProperties": False,
}
_BEFORE, _AFTER = 3, 1  # paragraphs around unnamed lines that are shown
_TOKENS = 1200
_MOST_NAMES = 30


@dataclass(frozen=True, slots=True)
class Unnamed:
    """A question for the speakers of some lines. numbers: of those lines in the dialogue, in the order of asking."""

    question: Question
    numbers: tuple[int, ...]


def unnamed(spoken_in: Spoken, options: RolesOptions, prompts: Prompts) -> Iterator[Unnamed]:
    """Questions for all lines without a named speaker, a stretch of the text each."""
    wanted = [at for at, line in enumerate(spoken_in.lines) if line.attribution != "named"]
    template = prompts.get("speakers", language_for(script_of(spoken_in.text[:20000])))
    names = _names(spoken_in, options)
    for group in _stretches(spoken_in, wanted):
        numbered = {at: number for number, at in enumerate(group, 1)}
        messages = template.render(
            names=", ".join(names), text=_shown(spoken_in, numbered), lines=", ".join(map(str, numbered.values()))
        )
        yield Unnamed(Question("speakers", messages, SCHEMA, _reader(len(group))), tuple(group))


def told(asked: Unnamed, answer: dict[str, str]) -> dict[int, str]:
    """Speaker by number of the line in the dialogue; lines that nobody is named for are left out."""
    return {
        at: answer[str(number)]
        for number, at in enumerate(asked.numbers, 1)
        if answer.get(str(number), SOMEBODY) != SOMEBODY
    }


def _names(spoken_in: Spoken, options: RolesOptions) -> list[str]:
    counts = Counter(line.speaker for line in spoken_in.lines if line.speaker not in (None, SOMEBODY))
    others = [name for name, _ in counts.most_common(_MOST_NAMES) if name and not is_role(name, options)]
    return [*options.role, *others]


def _stretches(spoken_in: Spoken, wanted: list[int]) -> Iterator[list[int]]:
    """Lines near each other, as many as fit into one question."""
    group: list[int] = []
    tokens = 0
    for at in wanted:
        line = spoken_in.lines[at]
        paragraph = spoken_in.paragraphs[line.paragraph]
        far = group and line.paragraph - spoken_in.lines[group[-1]].paragraph > _BEFORE + _AFTER
        tokens += estimate_tokens(paragraph.text)
        if group and (far or tokens > _TOKENS):
            yield group
            group, tokens = [], estimate_tokens(paragraph.text)
        group.append(at)
    if group:
        yield group


def _shown(spoken_in: Spoken, numbered: dict[int, int]) -> str:
    """The paragraphs around the lines, each line marked with its number."""
    places = [spoken_in.lines[at].paragraph for at in numbered]
    first, last = max(0, min(places) - _BEFORE), min(len(spoken_in.paragraphs), max(places) + _AFTER + 1)
    marks = {spoken_in.lines[at].start: number for at, number in numbered.items()}
    shown = []
    for paragraph in spoken_in.paragraphs[first:last]:
        text = paragraph.text
        for start in sorted((each for each in marks if 0 <= each - paragraph.start <= len(text)), reverse=True):
            at = start - paragraph.start
            text = f"{text[:at]}[{marks[start]}] {text[at:]}"
        shown.append(text)
    return "\n".join(shown)


def _reader(count: int) -> Any:
    def read(reply: Reply) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in objects(reply.text, "speakers"):
            number = re.sub(r"\D", "", str(each.get("line", "")))
            speaker = each.get("speaker")
            if number and 1 <= int(number) <= count and isinstance(speaker, str) and speaker.strip():
                found[str(int(number))] = speaker.strip()
        if not found:
            raise BadAnswer('it names no "line" that was asked about')
        return found

    return read
