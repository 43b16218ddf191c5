"""The terminal chat: streaming, several turns, commands; questions piped in are answered one per line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from typing import Any, TextIO, get_type_hints

from rich.console import Console

from tunesmith.config import GenerationConfig
from tunesmith.errors import UserError, did_you_mean
from tunesmith.i18n import tr
from tunesmith.inference.engine import ChatEngine
from tunesmith.text.conversation import Conversation, Message

_THINK_OPEN, _THINK_CLOSE = "<think>", "</think>"


def repl(
    engine: ChatEngine, settings: GenerationConfig, *, system: str | None = None, source: TextIO = sys.stdin
) -> None:
    """Talk on the terminal until /exit or end of input; with piped input answer each line on its own."""
    session = Session(engine, settings, system)
    if source.isatty():
        session.talk()
    else:
        session.answer_lines(source)


@dataclass(slots=True)
class Session:
    """One conversation and its settings."""

    engine: ChatEngine
    settings: GenerationConfig
    system: str | None = None
    turns: list[Message] = field(default_factory=list)
    console: Console = field(default_factory=lambda: Console(highlight=False))

    def talk(self) -> None:
        self.console.print(
            tr("Chatting with {name}. /help lists the commands, /exit leaves.").format(name=self.engine.name)
        )
        while True:
            try:
                text = input("\n› ").strip()
            except (EOFError, KeyboardInterrupt):
                self.console.print()
                return
            if text in ("/exit", "/quit", "exit"):
                return
            try:
                self._handle(text)
            except UserError as error:
                self.console.print(str(error), style="red", markup=False)

    def answer_lines(self, source: TextIO) -> None:
        """One line in, one line out: line breaks within an answer are written as \\n."""
        for line in source:
            if question := line.strip():
                conversation = Conversation((*self._head(), Message("user", question)))
                answer = self.engine.chat(conversation, self.settings)
                print(_without_thinking(answer).replace("\\", "\\\\").replace("\n", "\\n"), flush=True)

    def _handle(self, text: str) -> None:
        if not text:
            return
        word, _, rest = text.partition(" ")
        if text == "clear":  # what LLaMA-Factory's users type
            word = "/clear"
        if not word.startswith("/"):
            self._ask(text)
        elif word in COMMANDS:
            COMMANDS[word][1](self, rest.strip())
        else:
            raise UserError(
                tr("There is no command {word}.").format(word=word),
                hint=did_you_mean(word, COMMANDS) or tr("/help lists them."),
            )

    def _ask(self, question: str) -> None:
        asked = [*self.turns, Message("user", question)]
        answer = self._show(Conversation((*self._head(), *asked)))
        if answer.strip():
            self.turns[:] = [*asked, Message("assistant", _without_thinking(answer))]

    def _show(self, conversation: Conversation) -> str:
        """Stream the answer to the terminal, thinking dimmed; Ctrl-C ends it and keeps what came."""
        pieces: list[str] = []
        with closing(_closable(self.engine.stream(conversation, self.settings))) as stream:
            try:
                for text, thought in _marked(_kept(stream, pieces)):
                    self.console.print(
                        text, end="", style="dim italic" if thought else None, markup=False, soft_wrap=True
                    )
            except KeyboardInterrupt:
                self.console.print(" …", style="dim", end="")
        self.console.print()
        return "".join(pieces)

    def _head(self) -> tuple[Message, ...]:
        return (Message("system", self.system),) if self.system else ()

    def clear(self, _: str) -> None:
        self.turns.clear()
        self.console.print(tr("A new conversation."), style="dim")

    def set_system(self, text: str) -> None:
        self.system = text or None
        self.turns.clear()
        said = tr("System prompt set; a new conversation.") if text else tr("No system prompt; a new conversation.")
        self.console.print(said, style="dim")

    def set_option(self, text: str) -> None:
        known = [f.name for f in fields(GenerationConfig)]
        name, _, value = text.replace("=", " ").partition(" ")
        if not text:
            for key in known:
                self.console.print(f"{key} = {getattr(self.settings, key)}", markup=False)
            return
        if name not in known:
            raise UserError(tr("There is no setting {name!r}.").format(name=name), hint=did_you_mean(name, known))
        self.settings = replace(
            self.settings, **{name: _as(get_type_hints(GenerationConfig)[name], name, value.strip())}
        )

    def compare(self, question: str) -> None:
        """The same question to the model before and after training; the conversation itself is not changed."""
        if not self.engine.tuned:
            raise UserError(tr("There is nothing to compare: no adapter is loaded."))
        turns = list(self.turns)
        if question:
            turns = [*turns, Message("user", question)]
        elif turns:
            turns = turns[:-1]
        else:
            raise UserError(tr("Give a question: /compare Who are you?"))
        conversation = Conversation((*self._head(), *turns))
        self.console.print(tr("before training:"), style="bold")
        with self.engine.base():
            self._show(conversation)
        self.console.print(tr("after training:"), style="bold")
        self._show(conversation)

    def help(self, _: str) -> None:
        for word, (text, _action) in COMMANDS.items():
            self.console.print(f"{word:<10} {tr(text)}", markup=False)


COMMANDS: dict[str, tuple[str, Callable[[Session, str], None]]] = {
    "/system": ("set the system prompt (empty: none)", Session.set_system),
    "/clear": ("start a new conversation", Session.clear),
    "/set": ("change a setting, e.g. /set temperature 0.2; alone: show them", Session.set_option),
    "/compare": ("ask the model before and after training: /compare QUESTION, alone: the last one", Session.compare),
    "/help": ("this list", Session.help),
    "/exit": ("leave (Ctrl-D too); Ctrl-C ends an answer", lambda session, _: None),
}


def _closable(stream: Iterator[str]) -> Any:
    return stream


def _kept(stream: Iterator[str], pieces: list[str]) -> Iterator[str]:
    for piece in stream:
        pieces.append(piece)
        yield piece


def _marked(stream: Iterator[str]) -> Iterator[tuple[str, bool]]:
    """Pieces of text and whether they are thinking. A tag may come in several pieces."""
    held, thinking = "", False
    for piece in stream:
        held += piece
        while (at := held.find(tag := _THINK_CLOSE if thinking else _THINK_OPEN)) >= 0:
            yield held[:at], thinking
            held, thinking = held[at + len(tag) :], not thinking
        keep = next((n for n in range(min(len(tag) - 1, len(held)), 0, -1) if tag.startswith(held[-n:])), 0)
        yield held[: len(held) - keep], thinking
        held = held[len(held) - keep :]
    yield held, thinking


def _without_thinking(answer: str) -> str:
    return "".join(text for text, thought in _marked(iter([answer])) if not thought).strip()


def _as(kind: Any, name: str, value: str) -> Any:
    """value as a setting of this type."""
    base = getattr(kind, "__origin__", kind)
    try:
        if base is bool:
            return {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}[value.lower()]
        return (int if base is int else float)(value)
    except (ValueError, KeyError) as error:
        raise UserError(
            tr("{name} can't be {value!r}.").format(name=name, value=value), hint=str(base.__name__)
        ) from error
