"""Conversations as the model sees them, and which characters of that the assistant wrote."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import Any

from tunesmith.config.data import DataConfig
from tunesmith.errors import UserError
from tunesmith.text.conversation import Conversation, Message, Rendered, Span
from tunesmith.text.families import Family, load_family, no_template
from tunesmith.text.jinja import compile_template, content_tests, names_used
from tunesmith.text.portable import portable_source, with_default_system
from tunesmith.text.rows import RowError
from tunesmith.text.skeleton import Dialect, Skeleton, Turn, build_skeleton
from tunesmith.text.tokenizer import Tokenizer
from tunesmith.text.tools import ToolFormat, tool_format

KEPT_SKELETONS = 4096


class ChatTemplate:
    """One prompt format with one tokenizer's special tokens; the same conversation always gives the same text.

    A template only ever sees placeholders for the texts of a conversation, so what a person wrote is never read as
    markup, and all conversations of one shape (roles, which texts are empty) share one rendering. Where a template
    looks into the texts (trims them, searches them for a tag) the shape says so, or the text itself is rendered.
    """

    def __init__(
        self,
        family: Family,
        tokenizer: Tokenizer,
        *,
        own: bool = False,
        default_system: str | None = None,
        tools: str | None = None,
        preserve_thinking: bool = False,
    ) -> None:
        """own: the template came with the tokenizer and speaks transformers' language of messages and tools."""
        self.name, self.source, self.own = family.name, family.source, own
        self.default_system = family.default_system if default_system is None else default_system
        self.preserve_thinking = preserve_thinking
        self.tool_format: ToolFormat = tool_format(tools or family.tools)
        self._family, self._tokenizer = family, tokenizer
        compiled = compile_template(family.source)
        self._trims, self._sought = content_tests(family.source) if own else (False, ())
        names = names_used(family.source)
        constants = {"bos_token": tokenizer.bos_token or "", "eos_token": tokenizer.eos_token or ""}
        self._dialect = Dialect(
            compiled=compiled,
            own=own,
            reasons="reasoning_content" in names if own else family.reasoning,
            native_tools=own and "tools" in names and tools is None,
            tool_prompt="tool_prompt" in names,
            marked=re.search(r"\{%[-+]?\s*generation\b", family.source) is not None,
            tools=self.tool_format,
            constants=constants | tokenizer.named_tokens,
            control=tokenizer.control_pattern,
            trims=self._trims,
        )
        self._skeletons: dict[Any, Skeleton] = {}

    @cached_property
    def stop_words(self) -> tuple[str, ...]:
        """Texts of the tokens that end an answer: what the template closes one with, the tokenizer's, the model's."""
        closing = self._family.stop
        if not closing:
            with suppress(RowError):
                shown = self.render(Conversation((Message("user", "1"), Message("assistant", "1"))))
                found = self._dialect.control.search(shown.text, shown.spans[-1].start) if shown.spans else None
                closing = (found.group(),) if found else ()
        return tuple(dict.fromkeys([*closing, *map(self._tokenizer.token_text, self._tokenizer.stop_ids)]))

    @property
    def reasons(self) -> bool:
        """Whether it has a place for reasoning, so that `thinking` makes a difference."""
        return self._dialect.reasons

    @property
    def fingerprint(self) -> str:
        """Changes whenever a rendering could."""
        facts = [self.source, self.default_system, self.tool_format.name, self.own, self.preserve_thinking]
        names = sorted(self._tokenizer.named_tokens.items())  # a template may write any of them
        return hashlib.sha256(json.dumps([*facts, names, self._tokenizer.fingerprint]).encode()).hexdigest()[:16]

    def portable(self, *, thinking: bool | None) -> str:
        """The template as Jinja that transformers renders the same; thinking: what the job trained with."""
        if self.own:
            return with_default_system(self.source, self.default_system) if self.default_system else self.source
        keep = self.preserve_thinking
        return portable_source(self._family, default_system=self.default_system, thinking=thinking, keep_reasoning=keep)

    def render(
        self,
        conversation: Conversation,
        *,
        generation_prompt: bool = False,
        thinking: bool | None = None,
        keep_reasoning: bool | None = None,
    ) -> Rendered:
        """The text, the assistant's spans and the literals; RowError where the template can't show this conversation.

        thinking: True, an answer without reasoning gets an empty think block that is trained; False, reasoning is
        dropped and the empty block belongs to the prompt; None, reasoning is kept where there is some and the empty
        block belongs to the prompt where there is none. keep_reasoning: whether earlier answers keep theirs (default:
        when training, or with preserve_thinking). With generation_prompt the text ends where the model goes on, and
        there are no spans. A turn whose reasoning the template dropped has no span: it would teach not to think.
        """
        messages, shift = conversation.messages, 0
        needs_head = conversation.tools and not self._dialect.native_tools and not self._dialect.tool_prompt
        if (self.default_system and not conversation.system) or (needs_head and conversation.system is None):
            shift = 1 if conversation.system is None else 0
            messages = (Message("system", self.default_system), *messages[1 - shift :])
        keep = self.preserve_thinking or (not generation_prompt if keep_reasoning is None else keep_reasoning)
        if any(message.thinking is not None for message in messages):
            messages = self._without_reasoning(messages, thinking, keep)
        seen = frozenset(i for i, m in enumerate(messages) if self._is_sought(m)) if self._sought else frozenset()
        shapes = [] if conversation.tools or seen else [self._shape(message) for message in messages]
        key = (generation_prompt, thinking, keep, *shapes) if shapes and None not in shapes else None
        skeleton = self._skeletons.get(key) if key else None
        if skeleton is None:
            turn = Turn(messages, conversation.tools, generation_prompt, thinking, keep, seen)
            skeleton = build_skeleton(self._dialect, turn)
            if key and len(self._skeletons) < KEPT_SKELETONS:
                self._skeletons[key] = skeleton
        return self._fill(skeleton, messages, () if generation_prompt else skeleton.marks, shift)

    def _without_reasoning(self, messages: Sequence[Message], thinking: bool | None, keep: bool) -> tuple[Message, ...]:
        """Reasoning taken out of all answers, or of those before the last question (own templates see to that)."""
        questions = [i for i, message in enumerate(messages) if message.role == "user"]
        first_kept = (
            len(messages) if thinking is False else 0 if keep or self._dialect.own else max(questions, default=0)
        )
        return tuple(
            replace(message, thinking=None) if i < first_kept and message.thinking is not None else message
            for i, message in enumerate(messages)
        )

    def _shape(self, message: Message) -> tuple[Any, ...] | None:
        """What a template can tell about a message without reading its texts; None if it reads more (tool calls)."""
        content, thinking = message.content, message.thinking
        if message.tool_calls or message.role == "tool":
            return None
        if not self._trims:
            return message.role, not content, None if thinking is None else not thinking
        return message.role, _margins(content), None if thinking is None else _margins(thinking)

    def _is_sought(self, message: Message) -> bool:
        """Whether the template would find in the texts something it looks for (control tokens are hidden from it)."""
        text = message.content if message.thinking is None else message.content + message.thinking
        if not any(word in text for word in self._sought):
            return False
        hidden = self._dialect.control.sub("", text)
        return any(word in hidden for word in self._sought)

    def _fill(self, skeleton: Skeleton, messages: Sequence[Message], marks: Sequence[Any], shift: int) -> Rendered:
        at = len(skeleton.parts[0])
        pieces, starts, literals = [skeleton.parts[0]], [0], []
        for (kind, number), part in zip(skeleton.slots, skeleton.parts[1:], strict=True):
            if kind == "p":
                value = skeleton.kept[number]
                literals.append((at, at + len(value)))
            else:
                value = messages[number].content if kind == "c" else messages[number].thinking or ""
                value = value.strip() if self._trims else value
                literals += [(at + m.start(), at + m.end()) for m in self._dialect.control.finditer(value)]
            at += len(value)
            pieces += (value, part)
            starts.append(at)
            at += len(part)
        spans = tuple(Span(starts[p] + i, starts[q] + j, number - shift) for number, p, i, q, j in marks)
        return Rendered("".join(pieces), spans, tuple(literals))


def _margins(text: str) -> tuple[str, str] | str:
    """The white space around a text, or all of a blank one."""
    core = text.strip()
    return (text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]) if core else text


@dataclass(frozen=True, slots=True)
class ChosenTemplate:
    """The template of a run, and what its user should know about the choice."""

    template: ChatTemplate
    notes: tuple[str, ...] = ()
    agrees: bool = False
    """Whether the tokenizer's own template writes the same."""


def template_for(data: DataConfig, tokenizer: Tokenizer) -> ChosenTemplate:
    """The template that the data section of a job asks for."""
    return choose_template(
        data.template,
        tokenizer,
        default_system=data.default_system,
        tools=data.tool_format,
        preserve_thinking=data.preserve_thinking,
        thinking=data.enable_thinking,
    )


def choose_template(
    name: str | None,
    tokenizer: Tokenizer,
    *,
    default_system: str | None = None,
    tools: str | None = None,
    preserve_thinking: bool = False,
    thinking: bool | None = None,
) -> ChosenTemplate:
    """The named family; without a name the tokenizer's own template; UserError where there is neither."""
    options: dict[str, Any] = {"default_system": default_system, "tools": tools, "preserve_thinking": preserve_thinking}
    own = None
    if tokenizer.chat_template:
        own = Family("own", tokenizer.chat_template)
    if name is None:
        if own is None:
            raise no_template()
        return ChosenTemplate(ChatTemplate(own, tokenizer, own=True, **options), agrees=not default_system)
    family = load_family(name)
    if "eos_token" in family.source and not tokenizer.eos_token:
        raise UserError(
            f"The template {name!r} ends answers with the model's end token, but this tokenizer names none.",
            hint="Set eos_token in tokenizer_config.json, or use a template with its own stop token, such as chatml.",
            field="template",
        )
    template = ChatTemplate(family, tokenizer, **options)
    notes = _spelled_out(family, tokenizer)
    if own is None:
        return ChosenTemplate(template, tuple(notes))
    differs = _disagreement(template, ChatTemplate(own, tokenizer, own=True, **options), thinking)
    return ChosenTemplate(template, (*notes, *differs), agrees=not differs)


def _spelled_out(family: Family, tokenizer: Tokenizer) -> list[str]:
    """Control tokens of the family that this vocabulary lacks: they would be several ordinary tokens."""
    wanted = dict.fromkeys([*family.stop[:1], *re.findall(r"<[|｜][^|｜<>{}]+[|｜]>", family.source)])
    missing = [token for token in wanted if tokenizer.id_of(token) is None]
    if not missing:
        return []
    return [
        f"The template {family.name} uses {', '.join(missing)}, which this model's vocabulary lacks; they are spelled "
        "with several tokens. Add them with add_special_tokens, or choose another template."
    ]


_ASKED = (Message("user", "Why?"), Message("assistant", "Because."))
_PROBES = {
    "a question": _ASKED,
    "a system message": (Message("system", "Be brief."), *_ASKED),
    "two rounds": (*_ASKED, Message("user", "Really?"), Message("assistant", "Yes.")),
}


def _disagreement(named: ChatTemplate, own: ChatTemplate, thinking: bool | None) -> list[str]:
    """One sentence on the first conversation that the two write differently."""
    for what, messages in _PROBES.items():
        conversation = Conversation(messages)
        try:
            ours, theirs = (t.render(conversation, thinking=thinking).text for t in (named, own))
        except RowError as error:
            return [f"The model's own chat template can't be compared with {named.name}: {error.reason}."]
        if ours != theirs:
            pairs = zip_longest(ours, theirs)
            at = next(i for i, (our, their) in enumerate(pairs) if our != their)
            near = max(at - 12, 0)
            return [
                f"The template {named.name} writes {what} as …{ours[near : at + 30]!r}, the model's own chat template "
                f"as …{theirs[near : at + 30]!r}; {named.name} is used. Leave `template:` out to use the model's own."
            ]
    return []
