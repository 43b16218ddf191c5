"""Scripts: `名字：台词`, `NAME: line`, `Ham. Line` and screenplays with the name above the line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tunesmith.authoring.dialogue.line import Line, Paragraph

_ASIDE = r"(?:[（(【\[][^）)】\]]{0,40}[）)】\]])"
_INLINE = re.compile(
    rf"^\s*(?:[*_]{{2}})?(?P<name>[一-鿿㐀-䶿·•A-Za-z0-9]{{1,12}}|[A-Z][\w.'’-]*(?: [\w.'’#&-]+){{0,3}})(?:[*_]{{2}})?"
    rf"\s*{_ASIDE}?\s*[:：](?:[*_]{{2}})?\s*(?P<said>.*)$"
)
_BRACKETED = re.compile(r"^\s*【(?P<name>[^】\s]{1,12})】\s*[:：]?\s*(?P<said>\S.*)$")
_ABBREVIATED = re.compile(r"^\s*(?P<name>[A-Z][a-z]{1,10}(?: [A-Z][a-z]+)?)\.\s+(?P<said>\S.*)$")
_ALONE = re.compile(
    rf"^\s*(?P<name>[A-Z][A-Z .'’#&-]{{1,30}}?|[A-Z][a-z]{{1,14}}(?: [A-Z][a-z]+)?(?=\.)|[一-鿿·]{{1,6}})[.:：]?"
    rf"\s*{_ASIDE}?\s*$"
)
_DIRECTION = re.compile(r"（[^）]*）|\([^)]*\)|【[^】]*】|\[[^\]]*\]|_\[[^\]]*\]_")
# What stands before a colon without being anybody's name.
_NO_NAMES = frozenset(
    [
        "时间",
        "地点",
        "人物",
        "场景",
        "时",
        "地",
        "人",
        "景",
        "旁白",
        "画外音",
        "字幕",
        "注",
        "注意",
        "备注",
        "提示",
        "例如",
        "说明",
        "剧名",
        "编剧",
        "导演",
        "時間",
        "地點",
        "場景",
        "註",
        "備註",
        "說明",
        "編劇",
        "導演",
        "note",
        "scene",
        "time",
        "place",
        "characters",
        "act",
        "setting",
        "narrator",
        "title",
        "author",
        "date",
        "enter",
        "exit",
        "exeunt",
        "cut",
        "fade",
        "http",
        "https",
    ]
)
_LEAST = 3  # lines of a script before a text counts as one


def is_script(found: Sequence[Paragraph]) -> bool:
    """Whether most of a text is written as a script."""
    lines = read_script(found)
    spoken = {line.paragraph for line in lines}
    quoted = sum(any(mark in paragraph.text for mark in '“「"') for paragraph in found)
    return len(lines) >= _LEAST and len(spoken) > quoted and len(spoken) * 5 >= len(found)


def read_script(found: Sequence[Paragraph], roles: Collection[str] = ()) -> list[Line]:
    """The lines that are spoken. roles: names that are names however rarely they speak."""
    heads = [_head(found, at) for at in range(len(found))]
    names = _names(heads, roles)
    lines: list[Line] = []
    speaking: int | None = None  # the line that the next paragraph may continue
    for at, (paragraph, head) in enumerate(zip(found, heads, strict=True)):
        if head is not None and head.name in names:
            name, said, below = head.name, head.said, head.below
            start = paragraph.start + (len(paragraph.text) - len(said) if said else len(paragraph.text))
            lines.append(Line(said, name, "named", start, paragraph.start + len(paragraph.text), paragraph.scene, at))
            speaking = len(lines) - 1
            if not said and not below:
                speaking = None
        elif speaking is not None and _continues(found, at, lines[speaking]):
            line = lines[speaking]
            text = f"{line.text}\n{paragraph.text.strip()}" if line.text else paragraph.text.strip()
            end = paragraph.start + len(paragraph.text)
            lines[speaking] = Line(text, line.speaker, "named", line.start, end, line.scene, line.paragraph)
        else:
            speaking = None
    cleaned = (
        Line(spoken(line.text), line.speaker, line.attribution, line.start, line.end, line.scene, line.paragraph)
        for line in lines
    )
    return [line for line in cleaned if line.text]


def spoken(text: str) -> str:
    """A line without its stage directions and quotation marks around it."""
    text = re.sub(r"[ \t　]+", " ", _DIRECTION.sub("", text))
    text = "\n".join(part.strip() for part in text.splitlines() if part.strip())
    inner = re.fullmatch(r"[“\"「](.*)[”\"」]", text, re.DOTALL)
    return inner[1].strip() if inner and not re.search(r"[“”\"「」]", inner[1]) else text


@dataclass(frozen=True, slots=True)
class _Head:
    """A name at the beginning of a paragraph. said: beside it; below: in the lines below it.

    weak: it may as well be a short sentence, so only a name that comes again is one.
    """

    name: str
    said: str
    below: bool
    weak: bool


def _head(found: Sequence[Paragraph], at: int) -> _Head | None:
    paragraph = found[at]
    if paragraph.opens_scene:
        return None
    for pattern in (_INLINE, _BRACKETED, _ABBREVIATED):
        if match := pattern.match(paragraph.text):
            said = match["said"].strip()
            return _Head(plain_name(match["name"]), said, not said, pattern is _ABBREVIATED)
    match = _ALONE.match(paragraph.text)
    if match and not paragraph.follows and at + 1 < len(found) and found[at + 1].follows:
        return _Head(plain_name(match["name"]), "", True, weak=False)
    return None


def plain_name(name: str) -> str:
    """A name as scripts write it above or before a line, without their marks: `HAM.`, `**Ada**:`."""
    return re.sub(r"\s+", " ", name).strip(" .*_:：")


def _names(heads: Sequence[_Head | None], roles: Collection[str]) -> set[str]:
    """Who speaks: names that come again, or nearly every head is one."""
    there = [head for head in heads if head is not None and head.name.lower() not in _NO_NAMES]
    counts = Counter(head.name for head in there)
    weak = {head.name for head in there if head.weak}
    again = sum(count for count in counts.values() if count > 1)
    known = {role.casefold() for role in roles}
    least = 2 if again * 2 >= len(there) and len(heads) > 40 else 1
    return {
        name for name, count in counts.items() if count >= (2 if name in weak else least) or name.casefold() in known
    }


def _continues(found: Sequence[Paragraph], at: int, line: Line) -> bool:
    """Whether a paragraph without a name belongs to the line before."""
    paragraph = found[at]
    if not paragraph.follows or paragraph.opens_scene or paragraph.scene != line.scene:
        return False
    return not re.fullmatch(rf"\s*{_ASIDE}\s*", paragraph.text) or not line.text
