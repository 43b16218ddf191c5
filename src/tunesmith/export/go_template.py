"""Go templates for Ollama before 0.30, taken from our own rendering of a chat template.

A template is rendered with marks in place of the texts, and what stands between the marks makes up the Go template. It
is given out only when it has one shape: a head (with the system message or without), then each question and each answer
between two constant texts, then the beginning of the next answer. Whether a template has that shape is tried on further
conversations; what Go can't do (taking white space or reasoning off a text) makes it refused. That the shape means the
same to Go's engine is what tests/export/test_go_template.py shows with Go itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tunesmith.text.conversation import Conversation, Message
from tunesmith.text.jinja import content_tests, names_used
from tunesmith.text.rows import RowError
from tunesmith.text.template import ChatTemplate

SYSTEM, USER, ASSISTANT = "\ue000s\ue001", "\ue000u\ue001", "\ue000a\ue001"
"""Texts that no template holds."""

_GO = """\
{{ if .System }}%(system_open)s{{ .System }}%(system_close)s{{ else }}%(bare)s{{ end }}\
{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}\
{{ if eq .Role "user" }}%(user_open)s{{ .Content }}%(user_close)s\
{{ else if eq .Role "assistant" }}%(answer_open)s{{ .Content }}{{ if not $last }}%(answer_close)s{{ end }}{{ end }}\
{{ if and $last (ne .Role "assistant") }}%(ask)s{{ end }}{{ end }}"""


@dataclass(frozen=True, slots=True)
class GoTemplate:
    """The template, or None and why there is none (the end of a sentence: "… because {reason}")."""

    text: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Shape:
    """The constant texts of a prompt. bare: the head where there is no system message. ask: what the answer follows."""

    bare: str
    system_open: str
    system_close: str
    user_open: str
    user_close: str
    answer_open: str
    answer_close: str
    ask: str

    def prompt(self, messages: Sequence[Message]) -> str:
        """What the Go template writes for a conversation that ends with a question."""
        head, rest = self.bare, messages
        if messages[0].role == "system":
            head, rest = self.system_open + messages[0].content + self.system_close, messages[1:]
        turns = {"user": (self.user_open, self.user_close), "assistant": (self.answer_open, self.answer_close)}
        return head + "".join(turns[m.role][0] + m.content + turns[m.role][1] for m in rest) + self.ask


class _NotDerivableError(Exception):
    """The end of a sentence that says why."""


def derive_go_template(template: ChatTemplate, *, thinking: bool | None = None, bos: str = "") -> GoTemplate:
    """The chat template in Go, for questions and answers in turn, none of them empty, ending with a question.

    (Ollama itself joins messages of one role, and lets an answer that was begun go on.)
    thinking: what the job trained with. bos: the token that the runtime puts before every prompt itself ("" where it
    doesn't); it is then left out of the template. Tools are left out: Ollama refuses them for a template without
    `.Tools`, which is better than spelling them otherwise than the training did.
    """
    try:
        shape = _shape(template, thinking, bos)
    except _NotDerivableError as error:
        return GoTemplate(None, str(error))
    except RowError as error:
        return GoTemplate(None, f"it can't show an ordinary conversation: {error.reason}")
    return GoTemplate(_GO % {name: _literal(getattr(shape, name)) for name in _Shape.__slots__})


def _shape(template: ChatTemplate, thinking: bool | None, bos: str) -> _Shape:
    names = names_used(template.source)
    if "strftime_now" in names:
        raise _NotDerivableError("it writes the date of the day")

    def show(*messages: Message, ask: bool = True) -> str:
        rendered = template.render(
            Conversation(messages), generation_prompt=ask, thinking=thinking, keep_reasoning=False
        )
        return rendered.text.removeprefix(bos)

    shape = _taken_apart(show)
    if (thinking or "reasoning_content" in names) and "</think>" not in shape.ask:
        raise _NotDerivableError("earlier answers lose their reasoning, which Go can't take off a text")
    for messages, reason in _probes(template.source):
        if show(*messages) != shape.prompt(messages):
            raise _NotDerivableError(reason)
    return shape


def _taken_apart(show: Callable[..., str]) -> _Shape:
    """The constant texts between the marks of a few short conversations."""
    system, user, answer = Message("system", SYSTEM), Message("user", USER), Message("assistant", ASSISTANT)
    head, to_answer, to_user, ending = _cut(show(user, answer, user), USER, ASSISTANT, USER)
    user_close = _common_start(_cut(show(user, ask=False), USER)[1], to_answer, ending)
    closed = _common_start(_cut(show(user, answer, ask=False), USER, ASSISTANT)[2], to_user)
    system_open, system_close, _ = _cut(show(system, user), SYSTEM, USER)
    # What every question begins with. Where the first one has the system message in it that is nothing: the head then
    # opens the first question, and each answer opens the next one.
    user_open = _common_end(head, system_close, to_user.removeprefix(closed))
    return _Shape(
        bare=head.removesuffix(user_open),
        system_open=system_open,
        system_close=system_close.removesuffix(user_open),
        user_open=user_open,
        user_close=user_close,
        answer_open=to_answer.removeprefix(user_close),
        answer_close=to_user.removesuffix(user_open),
        ask=ending.removeprefix(user_close),
    )


def _probes(source: str) -> Iterator[tuple[tuple[Message, ...], str]]:
    """Conversations that the shape has to foretell, and what is the matter where it doesn't."""

    def chat(*texts: str, system: str | None = None) -> tuple[Message, ...]:
        head = () if system is None else (Message("system", system),)
        return (*head, *(Message("assistant" if i % 2 else "user", text) for i, text in enumerate(texts)))

    turns = "its turns look different in longer conversations"
    yield chat("a"), turns
    yield chat("a", "b", "c", "d", "e"), turns
    yield chat("a", "b", "c", system="s"), "the system message moves in longer conversations"
    yield chat("a", "b", "c", "d", "e", "f", "g", system="s"), turns
    spaced = [f"\n \t{letter} \n" for letter in "abcs"]
    yield chat(*spaced[:3], system=spaced[3]), "it takes white space off texts, which Go can't do"
    _, sought = content_tests(source)
    for word in sought:
        texts = [f"{letter} {word}\n{letter}{word} {letter}" for letter in "abcs"]
        yield chat(*texts[:3], system=texts[3]), f"it looks for {word!r} in texts and changes them there"


def _common_start(*texts: str) -> str:
    columns = zip(*texts, strict=False)
    return texts[0][: next((i for i, column in enumerate(columns) if len(set(column)) > 1), min(map(len, texts)))]


def _common_end(*texts: str) -> str:
    return _common_start(*(text[::-1] for text in texts))[::-1]


def _cut(text: str, *marks: str) -> list[str]:
    """What lies before, between and after the marks."""
    pieces = re.split("|".join(map(re.escape, dict.fromkeys(marks))), text)
    if re.findall(r"\ue000.\ue001", text) != list(marks):
        raise _NotDerivableError("it leaves texts out, or writes them twice or in another order")
    return pieces


def _literal(text: str) -> str:
    """Text that Go's parser takes for text: its only markup is two braces in a row."""
    return re.sub(r"\{+", lambda braces: f'{{{{ "{braces[0]}" }}}}', text)
