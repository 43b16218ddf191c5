"""The terminal chat: streaming, several turns, commands; questions piped in are answered one per line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tunesmith.config import GenerationConfig
from tunesmith.errors import UserError, did_you_mean
from tunesmith.i18n import told, tr
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
    """One line in, one line out, each question on its own: in an answer a line break is written as \\n, a tab as \\t, a
    backslash as \\\\. Commands are obeyed: what they say goes to stderr and their line is empty; that of /compare holds
    both answers with a tab between them. A line that can't be answered or obeyed gives an empty line and a word on
    stderr; UserError at the end counts them.
    """
    session = Session(engine, settings, system, console=Console(stderr=True, highlight=False, emoji=False))
    failed = asked = 0
    for number, line in enumerate(source, 1):
        text = line.lstrip("\ufeff").strip()
        if text in ("/exit", "/quit"):
            break
        asked += bool(text)
        try:
            answers = session.piped(text)
        except UserError as error:
            failed += 1
            answers = []
            print(f"{tr('line')} {number}: {told(error)}", file=sys.stderr)
        print("\t".join(map(_in_a_line, answers)), flush=True)
    if failed:
        raise UserError(f"{failed} of {asked} questions could not be answered.")


def _in_a_line(answer: str) -> str:
    for plain, written in (("\\", "\\\\"), ("\r", "\\r"), ("\n", "\\n"), ("\t", "\\t")):
        answer = answer.replace(plain, written)
    return answer


@dataclass(slots=True)
class Session:
    """One conversation and its settings.

    turns: questions and answers by turns. before: the first of them with the answers of the model before training, as
    far as /compare has asked it.
    """

    engine: Engine
    settings: GenerationConfig
    system: str | None = None
    turns: list[Message] = field(default_factory=list)
    before: list[Message] = field(default_factory=list)
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
                self.console.print(Text(told(error), "red"))

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
            raise UserError(f"There is no command {word}.", hint=hint)

    def piped(self, text: str) -> list[str]:
        """The answers to a line that stands alone: none for commands and blank lines, two for /compare."""
        word, _, rest = text.partition(" ")
        if word == "/compare":
            self._check_comparison(rest.strip())
            asked = self._conversation([Message("user", rest.strip())])
            with self.engine.base():
                before = self.engine.chat(asked, self.settings)
            return [before.strip(), self.engine.chat(asked, self.settings).strip()]
        if text and not word.startswith("/"):
            return [self.engine.chat(self._conversation([Message("user", text)]), self.settings).strip()]
        self.take(text)
        return []

    def _conversation(self, turns: Sequence[Message]) -> Conversation:
        head = (Message("system", self.system),) if self.system else ()
        return Conversation((*head, *turns))

    def _ask(self, question: str) -> None:
        asked = [*self.turns, Message("user", question)]
        answer = self.engine.stream(self._conversation(asked), self.settings)
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

    def _forget(self) -> None:
        self.turns.clear()
        self.before.clear()

    def clear(self, _: str) -> None:
        self._forget()
        self._say(tr("A new conversation."))

    def set_system(self, text: str) -> None:
        self.system = text or None
        self._forget()
        said = tr("System prompt set; a new conversation.") if text else tr("The template's own system prompt again.")
        self._say(said)

    def set_option(self, text: str) -> None:
        name, _, value = text.replace("=", " ", 1).partition(" ")
        if text and value.strip():
            changed = with_changes(self.settings, self.engine.thinking, {name: value.strip()})
            self.settings, self.engine = changed[0], replace(self.engine, thinking=changed[1])
        elif text:
            raise UserError(
                f"What shall {name} be?",
                hint=did_you_mean(name, NAMES) if name not in NAMES else f"/set {name} {self._value(name)}",
            )
        for key in NAMES if not text else [name] if name in NAMES else []:
            self._say(f"{key} = {self._value(key)}")

    def _value(self, name: str) -> str:
        value = self.engine.thinking if name == THINKING else getattr(self.settings, name)
        return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    def compare(self, question: str) -> None:
        """The same question to the model before and after training; the conversation itself is not changed.

        Each side reads its own answers to what was asked earlier: those of the trained model would teach the other.
        """
        self._check_comparison(question, self.turns)
        earlier = self.turns if question else self.turns[:-2]
        last = Message("user", question) if question else self.turns[-2]
        before, after = Text(), Text()
        with suppress(KeyboardInterrupt), Live(_beside(before, after), console=self.console) as live:
            with self.engine.base():
                own = self._answered_before(len(earlier))
                self._fill(before, self.engine.stream(self._conversation([*own, last]), self.settings))
                live.update(_beside(before, after), refresh=True)
            self._fill(after, self.engine.stream(self._conversation([*earlier, last]), self.settings))

    def _check_comparison(self, question: str, turns: Sequence[Message] = ()) -> None:
        if not self.engine.tuned:
            raise UserError("There is nothing to compare: no adapter is loaded.")
        if not question and not turns:
            raise UserError("Give a question, as in: /compare Who are you?")

    def _answered_before(self, count: int) -> list[Message]:
        """The first `count` turns with the answers of the model before training, which it must be now."""
        while len(self.before) < count:
            asked = self.turns[len(self.before)]
            answer = self.engine.stream(self._conversation([*self.before, asked]), self.settings)
            for _ in answer:
                pass
            self.before += [asked, answer.message]
        return self.before[:count]

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
