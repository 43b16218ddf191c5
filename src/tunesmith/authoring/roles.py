"""What one character says and what it answers to, as rows for a model that is to speak like it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tunesmith.authoring.chunk import JOIN
from tunesmith.authoring.dialogue.chinese import SOMEBODY
from tunesmith.authoring.dialogue.line import Line, Paragraph, paragraphs
from tunesmith.authoring.dialogue.novel import read_novel
from tunesmith.authoring.dialogue.script import is_script, read_script, spoken
from tunesmith.authoring.document import Document
from tunesmith.authoring.language import script_of
from tunesmith.authoring.options import RolesOptions
from tunesmith.authoring.prompting import Prompts, language_for
from tunesmith.authoring.rows import Row, conversation
from tunesmith.errors import UserError

_MOST_ASKED = 3  # lines of others that an answer answers
_SAME_BREATH = 60  # characters of narration between two lines that are one speech
_SENTENCE_END = re.compile(r"[。！？!?.…]+[”」』\"’]*\s*|\n+")
_NO_DIALOGUE = "No dialogue was found; try --layout script or novel."
_SCENE_WORD = {"en": "The scene: ", "zh": "场景：", "zh-TW": "場景："}
_SEPARATOR = {"en": ": ", "zh": "：", "zh-TW": "："}


@dataclass(frozen=True)
class Spoken:
    """The dialogue of a document. text: the document's, which `start` and `end` of lines count in."""

    path: Path
    title: str
    paragraphs: tuple[Paragraph, ...]
    lines: tuple[Line, ...]
    text: str
    script: bool

    @cached_property
    def starts(self) -> list[int]:
        """Where each paragraph begins."""
        return [paragraph.start for paragraph in self.paragraphs]

    @cached_property
    def scenes(self) -> dict[int, int]:
        """Where each scene begins."""
        begins: dict[int, int] = {}
        for paragraph in self.paragraphs:
            begins.setdefault(paragraph.scene, paragraph.start)
        return begins


def read_dialogue(document: Document, shown: Path, options: RolesOptions) -> Spoken:
    """All lines of a document with their speakers, as far as the text tells them."""
    found = paragraphs(document.passages)
    script = options.layout == "script" or (options.layout == "auto" and is_script(found))
    lines = read_script(found, options.role) if script else read_novel(found, options.role)
    text = JOIN.join(passage.text for passage in document.passages)
    return Spoken(shown, document.title, tuple(found), tuple(lines), text, script)


def is_role(speaker: str | None, options: RolesOptions) -> bool:
    """Whether a name is one of the character's, whatever its case."""
    return speaker is not None and speaker.casefold() in {name.casefold() for name in options.role}


@dataclass(frozen=True, slots=True)
class Turn:
    """Lines that one person says without anybody else speaking."""

    speaker: str | None
    lines: tuple[Line, ...]

    @property
    def start(self) -> int:
        return self.lines[0].start

    @property
    def end(self) -> int:
        return self.lines[-1].end

    @property
    def scene(self) -> int:
        return self.lines[0].scene

    @property
    def text(self) -> str:
        return "\n".join(spoken(line.text) for line in self.lines)

    @property
    def inferred(self) -> bool:
        return any(line.attribution != "named" for line in self.lines)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What others said, and what the character answered."""

    asked: tuple[Turn, ...]
    answer: Turn


def exchanges(spoken_in: Spoken, options: RolesOptions, rejected: Callable[[Row], None]) -> Iterator[list[Exchange]]:
    """Chains of exchanges within a scene, each near the one before; lines that answer to nobody are told."""
    chain: list[Exchange] = []
    asked: list[Turn] = []
    for turn in _turns(spoken_in.lines, options):
        if not is_role(turn.speaker, options):
            if asked and not _near(asked[-1], turn, options):
                asked = []
            asked = [*asked, turn][-_MOST_ASKED:]
            continue
        heard = tuple(asked) if asked and _near(asked[-1], turn, options) else ()
        asked = []
        if chain and not (heard and _near(chain[-1].answer, heard[0], options)):
            yield chain
            chain = []
        if reason := _unfit(heard, turn, options):
            rejected({"reason": reason, "text": turn.text, **_place(spoken_in, turn.start, turn.end)})
            continue
        chain.append(Exchange(heard, turn))
    if chain:
        yield chain


def _turns(lines: Sequence[Line], options: RolesOptions) -> Iterator[Turn]:
    held: list[Line] = []
    for line in lines:
        last = held[-1] if held else None
        same = last is not None and line.scene == last.scene and line.start - last.end <= _SAME_BREATH
        known = line.speaker not in (None, SOMEBODY)
        if last is not None and same and known and _person(line, options) == _person(last, options):
            held.append(line)
            continue
        if held:
            yield Turn(held[0].speaker, tuple(held))
        held = [line]
    if held:
        yield Turn(held[0].speaker, tuple(held))


def _person(line: Line, options: RolesOptions) -> str | None:
    return "" if is_role(line.speaker, options) else line.speaker


def _near(first: Turn, second: Turn, options: RolesOptions) -> bool:
    return first.scene == second.scene and second.start - first.end <= options.gap


def _unfit(heard: tuple[Turn, ...], turn: Turn, options: RolesOptions) -> str:
    """Why a line of the character becomes no row; empty where it does."""
    if not heard:
        return "nobody speaks to the character before this line"
    if len(re.sub(r"\W", "", turn.text)) < options.min_chars:
        return f"the line has less than {options.min_chars} characters"
    if options.only_named and (turn.inferred or any(each.inferred for each in heard)):
        return "who speaks is inferred"
    if heard[-1].speaker is None and not any(each.speaker for each in heard):
        return "who speaks before this line is not known, it may be the character"
    return ""


def rows(spoken_in: Spoken, options: RolesOptions, prompts: Prompts, rejected: Callable[[Row], None]) -> Iterator[Row]:
    """Rows of up to `turns` exchanges that follow each other. Each stands in one row only: all answers of a row are
    trained on."""
    language = language_for(script_of(spoken_in.text[:20000]))
    persona = _persona(spoken_in, options, prompts, language)
    seen: set[tuple[str, str]] = set()

    def is_new(exchange: Exchange) -> bool:
        said = (_question(exchange, options, language), exchange.answer.text)
        if said in seen:
            place = _place(spoken_in, exchange.asked[0].start, exchange.answer.end)
            rejected({"reason": "it repeats an earlier row", "text": exchange.answer.text, **place})
            return False
        seen.add(said)
        return True

    for chain in exchanges(spoken_in, options, rejected):
        for part in _parts(chain, options.turns, is_new):
            first, last = part[0].asked[0], part[-1].answer
            *history, (question, answer) = [(_question(each, options, language), each.answer.text) for each in part]
            system = _with_scene(persona, _scene(spoken_in, first.lines[0], options.context), language)
            yield {
                **conversation(options.format, question, answer, system, history),
                "role": options.role[0],
                "speaker": last.speaker,
                "asked_by": ", ".join(dict.fromkeys(turn.speaker or SOMEBODY for each in part for turn in each.asked)),
                "scene": last.scene,
                "attribution": _attribution(part),
                **_place(spoken_in, first.start, last.end),
            }


def _parts(chain: Sequence[Exchange], most: int, is_new: Callable[[Exchange], bool]) -> Iterator[list[Exchange]]:
    """A chain in parts of at most `most` exchanges; what is not new ends a part and is left out."""
    part: list[Exchange] = []
    for exchange in chain:
        new = is_new(exchange)
        if part and (len(part) == most or not new):
            yield part
            part = []
        if new:
            part.append(exchange)
    if part:
        yield part


def _attribution(part: Sequence[Exchange]) -> str:
    """How the speakers of a row are known, by the least sure of them."""
    kinds = {line.attribution for each in part for turn in (*each.asked, each.answer) for line in turn.lines}
    return next((kind for kind in ("model", "turn") if kind in kinds), "named")


def _question(exchange: Exchange, options: RolesOptions, language: str) -> str:
    """What was said; with names where several speak, or where they are wanted."""
    speakers = {turn.speaker for turn in exchange.asked}
    if not options.others and len(speakers) < 2:
        return "\n".join(turn.text for turn in exchange.asked)
    mark = _SEPARATOR[language]
    named = (
        f"{turn.speaker}{mark}{turn.text}" if turn.speaker not in (None, SOMEBODY) else turn.text
        for turn in exchange.asked
    )
    return "\n".join(named)


def _persona(spoken_in: Spoken, options: RolesOptions, prompts: Prompts, language: Any) -> str:
    if options.no_persona:
        return ""
    title = spoken_in.title if spoken_in.title != spoken_in.path.stem else ""
    if options.persona:
        return options.persona.replace("{role}", options.role[0]).replace("{title}", title)
    return prompts.get("persona", language).text(role=options.role[0], title=title)


def _with_scene(persona: str, scene: str, language: str) -> str:
    return "\n\n".join(part for part in (persona, _SCENE_WORD[language] + scene if scene else "") if part)


def _scene(spoken_in: Spoken, line: Line, most: int) -> str:
    """The last `most` characters before a line, in whole sentences; the words that lead to the line are left out."""
    if not most:
        return ""
    paragraph = spoken_in.paragraphs[line.paragraph]
    at = paragraph.start if spoken_in.script else line.start
    first = spoken_in.scenes[paragraph.scene]
    text = spoken_in.text[max(first, at - most) : at]
    if at - most > first:
        begins = _SENTENCE_END.search(text)
        text = text[begins.end() :] if begins else text
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    return text[: ends[-1] if ends else 0].strip()


def _paragraph_at(spoken_in: Spoken, at: int) -> Paragraph:
    return spoken_in.paragraphs[max(0, bisect_right(spoken_in.starts, at) - 1)]


def _place(spoken_in: Spoken, start: int, end: int) -> Row:
    paragraph = _paragraph_at(spoken_in, start)
    return {
        "source": spoken_in.path.as_posix(),
        "source_title": spoken_in.title,
        "source_heading": " > ".join(paragraph.heading),
        "source_page": paragraph.page,
        "source_start": start,
        "source_end": end,
    }


def with_speakers(spoken_in: Spoken, told: dict[int, str]) -> Spoken:
    """The dialogue with the speakers that a model told, by number of the line."""
    lines = (
        replace(line, speaker=told[at], attribution="model") if at in told else line
        for at, line in enumerate(spoken_in.lines)
    )
    return replace(spoken_in, lines=tuple(lines))


def speakers(found: Sequence[Spoken]) -> Counter[str]:
    """Who is named as speaking, with the number of their lines."""
    named = (line.speaker for each in found for line in each.lines)
    return Counter(name for name in named if name is not None and name != SOMEBODY)


def must_speak(found: Sequence[Spoken], options: RolesOptions) -> None:
    """UserError, naming who does speak, where the character never does."""
    counts = speakers(found)
    if any(is_role(name, options) for name in counts):
        return
    names = ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(12))
    raise UserError(
        f"Nobody called {' or '.join(options.role)} speaks in the text.",
        hint=f"Those who speak: {names}." if names else _NO_DIALOGUE,
        field="role",
    )


def must_be_dialogue(counts: Counter[str]) -> None:
    """UserError where nobody speaks."""
    if not counts:
        raise UserError("Nobody speaks in the text.", hint=_NO_DIALOGUE, field="layout")
