"""The terminal chat: streaming, several turns, commands; questions piped in are answered one per line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tunesmith.config import GenerationConfig
from tunesmith.errors import UserError, did_you_mean
from tunesmith.i18n import tr
from tunesmith.inference.answer import Answer
from tunesmith.inference.decoding import Piece
from tunesmith.inference.engine import ChatEngine
from tunesmith.inference.llamacpp import LlamaCppEngine
from tunesmith.inference.settings import NAMES, THINKING, with_changes
from tunesmith.text.conversation import Conversation, Message, ToolCall

Engine = ChatEngine | LlamaCppEngine
_THOUGHT, _SAID = "dim italic", ""


def repl(
    engine: Engine,
    settings: GenerationConfig,
    *,
    system: str | None = None,
    source: TextIO | None = None,
) -> None:
    """Talk on the terminal until /exit or the end of input; piped questions are answered line by line."""
    source = source or sys.stdin
    if not source.isatty():
        answer_lines(engine, settings, source, system=system)
        return
    with suppress(ImportError):
        import readline  # noqa: F401 — input() then has a history and an editable line
    Session(engine, settings, system).talk()


def answer_lines(engine: Engine, settings: GenerationConfig, source: TextIO, *, system: str | None = None) -> None:
    """One line in, one line out, each question on its own: in an answer a line break is written as \\n, a backslash as
    \\\\. A question that can't be answered gives an empty line and a word on stderr; UserError at the end counts them.
    """
    head = _system_turn(system)
    failed = asked = 0
    for number, line in enumerate(source, 1):
        question, answer = line.lstrip("\ufeff").strip(), ""
        asked += bool(question)
        try:
            if question:
                answer = engine.chat(Conversation((*head, Message("user", question))), settings).strip()
        except UserError as error:
            failed += 1
            print(f"{tr('line')} {number}: {error}", file=sys.stderr)
        print(answer.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n"), flush=True)
    if failed:
        raise UserError(tr("{failed} of {asked} questions could not be answered.").format(failed=failed, asked=asked))


@dataclass(slots=True)
class Session:
    """One conversation and its settings."""

    engine: Engine
    settings: GenerationConfig
    system: str | None = None
    turns: list[Message] = field(default_factory=list)
    console: Console = field(default_factory=lambda: Console(highlight=False, emoji=False))

    def talk(self) -> None:
        self._say(tr("Chatting with {name}. /help lists the commands, /exit leaves.").format(name=self.engine.name))
        while True:
            try:
                text = input("\n› ").strip()
                if text in ("/exit", "/quit", "exit", "quit"):
                    return
                self.take(text)
            except EOFError:
                self.console.print()
                return
            except KeyboardInterrupt:
                self._say("\n" + tr("/exit or Ctrl-D leaves."))
            except UserError as error:
                self.console.print(Text(str(error), "red"))

    def take(self, text: str) -> None:
        """What was typed: a question or a command. UserError for a command that can't be carried out."""
        word, _, rest = text.partition(" ")
        if text == "clear":  # what LLaMA-Factory's users type
            word = "/clear"
        if not text:
            return
        if not word.startswith("/"):
            self._ask(text)
        elif word in COMMANDS:
            COMMANDS[word][1](self, rest.strip())
        else:
            hint = did_you_mean(word, COMMANDS) or tr("/help lists them.")
            raise UserError(tr("There is no command {word}.").format(word=word), hint=hint)

    def _ask(self, question: str) -> None:
        asked = [*self.turns, Message("user", question)]
        answer = self.engine.stream(Conversation((*_system_turn(self.system), *asked)), self.settings)
        try:
            with closing(iter(answer)) as pieces:
                for piece in pieces:
                    self.console.print(_shown(piece), end="", soft_wrap=True)
        except KeyboardInterrupt:
            self.console.print(Text(" …", "dim"), end="")
        self.console.print()
        said = answer.message
        for line in map(_readable, said.tool_calls) if said.tool_calls else answer.called:
            self.console.print(Text(line, "cyan"), soft_wrap=True)
        self._tell_end(answer)
        if said.content.strip() or said.tool_calls:
            self.turns[:] = [*asked, said]

    def _tell_end(self, answer: Answer) -> None:
        """A word where the model did not come to its end by itself."""
        if answer.finish != "length":
            return
        if answer.tokens >= self.settings.max_new_tokens:
            self._say(tr("(cut at max_new_tokens {n}; /set max_new_tokens changes it)").format(n=answer.tokens))
        else:
            self._say(tr("(cut: the model takes {n} tokens in all; /clear starts anew)").format(n=self.engine.room))

    def clear(self, _: str) -> None:
        self.turns.clear()
        self._say(tr("A new conversation."))

    def set_system(self, text: str) -> None:
        self.system = text or None
        self.turns.clear()
        said = tr("System prompt set; a new conversation.") if text else tr("The template's own system prompt again.")
        self._say(said)

    def set_option(self, text: str) -> None:
        name, _, value = text.replace("=", " ", 1).partition(" ")
        if text and value.strip():
            changed = with_changes(self.settings, self.engine.thinking, {name: value.strip()})
            self.settings, self.engine = changed[0], replace(self.engine, thinking=changed[1])
        elif text:
            raise UserError(
                tr("What shall {name} be?").format(name=name),
                hint=did_you_mean(name, NAMES) if name not in NAMES else f"/set {name} {self._value(name)}",
            )
        for key in NAMES if not text else [name] if name in NAMES else []:
            self._say(f"{key} = {self._value(key)}")

    def _value(self, name: str) -> str:
        value = self.engine.thinking if name == THINKING else getattr(self.settings, name)
        return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    def compare(self, question: str) -> None:
        """The same question to the model before and after training; the conversation itself is not changed."""
        if not self.engine.tuned:
            raise UserError(tr("There is nothing to compare: no adapter is loaded."))
        asked = list(self.turns[:-1])
        if question:
            asked = [*self.turns, Message("user", question)]
        elif not asked:
            raise UserError(tr("Give a question, as in: /compare Who are you?"))
        conversation = Conversation((*_system_turn(self.system), *asked))
        before, after = Text(), Text()
        with suppress(KeyboardInterrupt), Live(_beside(before, after), console=self.console) as live:
            with self.engine.base():
                self._fill(before, self.engine.stream(conversation, self.settings))
                live.update(_beside(before, after), refresh=True)
            self._fill(after, self.engine.stream(conversation, self.settings))

    def _fill(self, cell: Text, answer: Answer) -> None:
        with closing(iter(answer)) as pieces:
            for piece in pieces:
                cell.append_text(_shown(piece))

    def help(self, _: str) -> None:
        for word, (text, _action) in COMMANDS.items():
            self._say(f"{word:<10} {tr(text)}")

    def _say(self, text: str) -> None:
        self.console.print(Text(text, "dim"), soft_wrap=True)


COMMANDS: dict[str, tuple[str, Callable[[Session, str], None]]] = {
    "/system": ("set the system prompt; alone: back to the template's own", Session.set_system),
    "/clear": ("start a new conversation", Session.clear),
    "/set": ("change a setting, e.g. /set temperature 0.2; alone: show them", Session.set_option),
    "/compare": ("ask the model before and after training: /compare QUESTION; alone: the last one", Session.compare),
    "/help": ("this list", Session.help),
    "/exit": ("leave, as Ctrl-D does; Ctrl-C ends an answer", lambda session, _: None),
}


def _system_turn(text: str | None) -> tuple[Message, ...]:
    return (Message("system", text),) if text else ()


def _shown(piece: Piece) -> Text:
    """A piece as it stands in the terminal; the spelling of tool calls is left out, they are written readably after."""
    return Text("" if piece.kind == "call" else piece.text, _THOUGHT if piece.kind == "thinking" else _SAID)


def _readable(call: ToolCall) -> str:
    arguments = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in call.arguments.items())
    return f"→ {call.name}({arguments})"


def _beside(before: Text, after: Text) -> Any:
    table = Table(expand=True, pad_edge=False)
    for heading in (tr("before training"), tr("after training")):
        table.add_column(heading, ratio=1)
    table.add_row(before, after)
    return table
