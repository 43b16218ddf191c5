"""A conversation rendered once with placeholders for its texts, and where the assistant's turns lie in that."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Template, TemplateError

from tunesmith.text.conversation import Message, ToolCall
from tunesmith.text.jinja import TURN_CLOSE, TURN_OPEN
from tunesmith.text.rows import RowError
from tunesmith.text.spelling import MARK, Guard, mark
from tunesmith.text.tools import ToolFormat

Mark = tuple[int, int, int]
"""An assistant turn: message number, first character, one past the last."""


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A rendering with the texts of the conversation taken out.

    parts: the template's own text, one more than slots. slots: what stands between: ('c', n) the content of message n,
    ('t', n) its reasoning, ('p', n) kept[n], which data spelled and must stay text. marks: assistant turns as
    (message, part, offset, part, offset).
    """

    parts: tuple[str, ...]
    slots: tuple[tuple[str, int], ...]
    marks: tuple[tuple[int, int, int, int, int], ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a template understands. own: transformers' messages and tools; otherwise that of templates/*.jinja.

    reasons: it writes reasoning itself. native_tools: it takes tools and tool calls as JSON.
    tool_prompt: it has a place of its own for the text that offers tools. marked: it has
    `{% generation %}`. trims: it takes white space off texts.
    """

    compiled: Template
    own: bool
    reasons: bool
    native_tools: bool
    tool_prompt: bool
    marked: bool
    tools: ToolFormat
    constants: Mapping[str, str]
    control: re.Pattern[str]
    trims: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """What is rendered, and how. seen: messages whose texts the template has to see (guarded) because it reads them."""

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]]
    generation_prompt: bool
    thinking: bool | None
    keep_reasoning: bool
    seen: frozenset[int]


def build_skeleton(dialect: Dialect, turn: Turn) -> Skeleton:
    """RowError where the template refuses the conversation, drops a message, or hides where an answer lies."""
    draft = _fitting_draft(dialect, turn)
    text = draft.text(len(turn.messages), turn.generation_prompt)
    if dialect.marked:
        text, marks = _marks_from_tags(text, turn)
    else:
        text, marks = _marks_from_prefixes(text, turn, draft)
    _check_nothing_dropped(text, turn, draft)
    for found in marks:
        _check_mark(text, found, turn)
    return _cut(text, [m for m in marks if draft.reasoning[m[0]] in text[m[1] : m[2]]], tuple(draft.guard.kept))


def _cut(text: str, marks: Sequence[Mark], kept: tuple[str, ...]) -> Skeleton:
    """The text cut at its placeholders, positions counted from the part they lie in."""
    parts, slots, edges, at = [], [], [0], 0
    for match in MARK.finditer(text):
        parts.append(text[at : match.start()])
        slots.append((match[1], int(match[2])))
        at = match.end()
        edges.append(at)
    parts.append(text[at:])

    def place(position: int) -> tuple[int, int]:
        part = max(i for i, edge in enumerate(edges) if edge <= position)
        return part, position - edges[part]

    return Skeleton(tuple(parts), tuple(slots), tuple((n, *place(a), *place(b)) for n, a, b in marks), kept)


# Writing the placeholders


class _Draft:
    """Renders the first n messages of a conversation."""

    def __init__(self, dialect: Dialect, turn: Turn, *, calls_as_text: bool = False, no_text: str | None = "") -> None:
        """calls_as_text: arguments of calls as a JSON string. no_text: what a message that only calls tools says."""
        self.dialect, self.turn = dialect, turn
        self._calls_as_text, self._no_text = calls_as_text, no_text
        self.guard = Guard(dialect.control)
        self.tools = self.guard.tree(turn.tools) if turn.tools else None
        self.reasoning = [""] * len(turn.messages)
        self.names: list[str] = []
        self._open_calls: list[tuple[str, str | None]] = []
        self.messages = [self._message(i, message) for i, message in enumerate(turn.messages)]
        if self.tools and not dialect.native_tools and not dialect.tool_prompt:
            self._offer_tools_in_system()

    def text(self, count: int, generation_prompt: bool) -> str:
        try:
            return self.dialect.compiled.render(self._variables(count, generation_prompt))
        except TemplateError as error:
            raise RowError(f"the chat template refuses this conversation: {error}") from None
        except (TypeError, AttributeError, KeyError, IndexError, ValueError) as error:
            raise RowError(f"the chat template can't show this conversation ({error})") from None

    def _variables(self, count: int, generation_prompt: bool) -> dict[str, Any]:
        turn, dialect = self.turn, self.dialect
        variables: dict[str, Any] = {
            **dialect.constants,
            "messages": self.messages[:count],
            "add_generation_prompt": generation_prompt,
        }
        if not dialect.own:
            described = dialect.tools.describe(self.tools) if self.tools else ""
            return variables | {
                "enable_thinking": turn.thinking,
                "keep_reasoning": turn.keep_reasoning,
                "tool_prompt": described,
            }
        thinks = turn.thinking
        if thinks is None and not turn.generation_prompt:
            answers = [message for message in turn.messages if message.role == "assistant"]
            thinks = bool(answers) and answers[-1].thinking is not None
        if thinks is not None:
            variables |= {"enable_thinking": thinks, "thinking": thinks}
        return variables | ({"tools": self.tools} if dialect.native_tools else {})

    def _message(self, number: int, message: Message) -> dict[str, Any]:
        content = self._text("c", number, message.content)
        written: dict[str, Any] = {"role": message.role, "content": content}
        if message.thinking is not None:
            self.reasoning[number] = self._text("t", number, message.thinking)
            if self.dialect.reasons:
                written["reasoning_content"] = self.reasoning[number]
            else:
                written["content"] = f"<think>\n{self.reasoning[number]}\n</think>\n\n{content}"
        elif not self.dialect.own:
            written["reasoning_content"] = None
        if message.role == "tool":
            self._answer_call(written, message)
        if message.role == "assistant":
            self._write_calls(written, message)
        return written

    def _text(self, kind: str, number: int, text: str) -> str:
        """The placeholder of a text, with the white space around it where a template could see it."""
        if number in self.turn.seen:
            return self.guard.text(text)
        if not self.dialect.trims:
            return mark(kind, number) if text else ""
        core = text.strip()
        return text.replace(core, mark(kind, number)) if core else text

    def _write_calls(self, written: dict[str, Any], message: Message) -> None:
        calls = [ToolCall(self.guard.text(c.name), self.guard.tree(c.arguments), c.id) for c in message.tool_calls]
        self._open_calls += [(call.name, call.id) for call in calls]
        self.names += [call.name for call in calls]
        if not self.dialect.native_tools:
            spelled = self.dialect.tools.write(calls) if calls else ""
            if not self.dialect.own:
                written["calls"] = spelled
            elif spelled:
                written["content"] += ("\n" if written["content"] else "") + spelled
        elif calls:
            first = len(self.names) - len(calls)
            written["tool_calls"] = [
                {"id": call.id or _call_id(first + i), "type": "function", "function": self._function(call)}
                for i, call in enumerate(calls)
            ]
            written["content"] = written["content"] or self._no_text

    def _function(self, call: ToolCall) -> dict[str, Any]:
        arguments = json.dumps(call.arguments, ensure_ascii=False) if self._calls_as_text else call.arguments
        return {"name": call.name, "arguments": arguments}

    def _answer_call(self, written: dict[str, Any], message: Message) -> None:
        """Tool results answer the calls before them in order."""
        number = len(self.names) - len(self._open_calls)
        name, call_id = self._open_calls.pop(0) if self._open_calls else ("", None)
        written["name"] = name
        written["tool_call_id"] = call_id or (_call_id(number) if self.dialect.own else None)
        as_json = _as_json(message.content)
        written["content_json"] = written["content"] if as_json == message.content else self.guard.text(as_json)

    def _offer_tools_in_system(self) -> None:
        head = self.messages[0]
        assert head["role"] == "system", "the caller puts a system message at the head"
        head["content"] += ("\n\n" if head["content"] else "") + self.dialect.tools.describe(self.tools or ())


def _fitting_draft(dialect: Dialect, turn: Turn) -> _Draft:
    """Templates differ in how they want tool calls; the first way that shows every call."""
    if not (dialect.native_tools and any(message.tool_calls for message in turn.messages)):
        return _Draft(dialect, turn)
    problem = RowError("the chat template leaves out this conversation's tool calls")
    for calls_as_text, no_text in ((False, ""), (False, None), (True, None), (True, "")):
        draft = _Draft(dialect, turn, calls_as_text=calls_as_text, no_text=no_text)
        try:
            text = draft.text(len(turn.messages), turn.generation_prompt)
        except RowError as error:
            problem = error
            continue
        if all(text.count(name) >= draft.names.count(name) for name in draft.names):
            return draft
    raise problem


def _call_id(number: int) -> str:
    """Nine letters and digits, which is what Mistral's templates insist on."""
    return f"call{number:05d}"


def _as_json(text: str) -> str:
    """The text itself if it is JSON, else as a JSON string."""
    try:
        json.loads(text)
    except ValueError:
        return json.dumps(text, ensure_ascii=False)
    return text


# Finding the assistant's turns


def _marks_from_tags(text: str, turn: Turn) -> tuple[str, list[Mark]]:
    """The text without `{% generation %}` marks, and what lay between them."""
    answers = [i for i, message in enumerate(turn.messages) if message.role == "assistant"]
    pieces = re.split(f"[{TURN_OPEN}{TURN_CLOSE}]", text)
    if len(pieces) != 2 * len(answers) + 1:
        raise RowError("the chat template marks another number of answers than the conversation has")
    ends = [0]
    for piece in pieces:
        ends.append(ends[-1] + len(piece))
    return "".join(pieces), [(n, ends[2 * i + 1], ends[2 * i + 2]) for i, n in enumerate(answers)]


def _marks_from_prefixes(text: str, turn: Turn, draft: _Draft) -> tuple[str, list[Mark]]:
    """An answer is what it adds to the prompt that asks for it."""
    prompt_tail = _unasked_prompt(draft, turn)

    def closed(count: int) -> str:
        return draft.text(count, False).removesuffix(prompt_tail)

    if turn.generation_prompt:
        return text, []
    if turn.messages and turn.messages[-1].role == "assistant":
        text = text.removesuffix(prompt_tail)
    marks = []
    for number, message in enumerate(turn.messages):
        if message.role == "assistant":
            start = _start(text, number, draft, closed)
            marks.append((number, start, _end(text, number, start, closed, last=number == len(turn.messages) - 1)))
    return text, marks


def _unasked_prompt(draft: _Draft, turn: Turn) -> str:
    """What the template writes after everything without being asked: some always end with the generation prompt."""
    question = next((i for i, message in enumerate(turn.messages) if message.role == "user"), 0)
    asked, unasked = draft.text(question + 1, True), draft.text(question + 1, False)
    if asked != unasked:
        return ""
    try:
        tail = draft.text(0, False).removeprefix(draft.dialect.constants["bos_token"])
    except RowError:
        return ""
    return tail if unasked.endswith(tail) else ""


def _start(text: str, number: int, draft: _Draft, closed: Callable[[int], str]) -> int:
    prompt = draft.text(number, True) if number else ""
    if text.startswith(prompt):
        return len(prompt)
    # An earlier answer may lack the empty think block that the prompt for a new one ends with: go back to what both
    # share, whole control tokens and lines only ('<think>' and '<tool_call>' share two letters by chance).
    common = next(i for i in range(len(prompt) + 1) if text[i : i + 1] != prompt[i : i + 1])
    borders = [match.end() for match in draft.dialect.control.finditer(prompt)]
    borders += [i + 1 for i, char in enumerate(prompt) if char == "\n"]
    start = max((border for border in borders if border <= common), default=0)
    if start < len(closed(number)):
        raise RowError("the chat template rewrites earlier messages when later ones come; no mask can be drawn")
    return start


def _end(text: str, number: int, start: int, closed: Callable[[int], str], *, last: bool) -> int:
    if last:
        return len(text)
    upto = closed(number + 1)
    if text.startswith(upto):
        return len(upto)
    # As an earlier message the answer is written otherwise (without its reasoning, say): what both ways have in common
    # is the longest end of the one that begins the other.
    shown = next((at for at in range(start, len(upto)) if text.startswith(upto[at:], start)), None)
    own = mark("c", number)
    if shown is None or (own in text[start:]) != (own in upto[shown:]):
        raise RowError("the chat template hides where an earlier answer ends; no mask can be drawn")
    return start + len(upto) - shown


def _check_nothing_dropped(text: str, turn: Turn, draft: _Draft) -> None:
    for number, message in enumerate(turn.messages):
        ways = (mark("c", number), draft.messages[number].get("content_json") or mark("c", number))
        if number not in turn.seen and message.content.strip() and not any(way in text for way in ways):
            raise RowError(f"the chat template leaves out message {number + 1} ({message.role})")


def _check_mark(text: str, found: Mark, turn: Turn) -> None:
    """An answer's span holds the answer's own text and nobody else's."""
    number, start, end = found
    inside = {int(match[2]) for match in MARK.finditer(text[start:end]) if match[1] != "p"}
    outside = text[:start] + text[end:]
    if inside - {number} or mark("c", number) in outside or start > end:
        raise RowError("the chat template moves texts between messages; no mask can be drawn")
