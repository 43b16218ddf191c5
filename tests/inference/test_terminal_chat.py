"""`tunesmith chat` as a person meets it: on a terminal, and with questions piped in."""

from __future__ import annotations

import codecs
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from rich.console import Console

from tunesmith.cli.main import main
from tunesmith.config import GenerationConfig
from tunesmith.config.load import load_job
from tunesmith.errors import UserError
from tunesmith.inference.chat import Session, answer_lines
from tunesmith.inference.load import load_engine
from tunesmith.text.conversation import Conversation, Message

GREEDY = GenerationConfig(do_sample=False, max_new_tokens=8)


@pytest.fixture
def session(tiny_model_dir: Callable[..., Path]) -> Session:
    job = load_job([], {"model_name_or_path": str(tiny_model_dir("llama")), "infer_dtype": "float32"}, verb="chat").job
    console = Console(file=io.StringIO(), width=100, highlight=False, emoji=False)
    return Session(load_engine(job, note=lambda sentence: None), GREEDY, console=console)


def shown(session: Session, *typed: str) -> str:
    """What the terminal shows for lines typed."""
    file = session.console.file
    assert isinstance(file, io.StringIO)
    start = file.tell()
    for line in typed:
        session.take(line)
    return file.getvalue()[start:]


def put_on_adapter(session: Session) -> None:
    torch.manual_seed(0)
    adapted = get_peft_model(session.engine.model, LoraConfig(r=4, init_lora_weights=False, target_modules=["q_proj"]))
    session.engine = type(session.engine)(
        adapted.eval(), session.engine.tokenizer, session.engine.template, None, "tuned"
    )


def test_turns_follow_each_other_until_clear(session: Session) -> None:
    shown(session, "Hello", "And then?")
    assert [turn.role for turn in session.turns] == ["user", "assistant"] * 2
    shown(session, "/clear")
    assert session.turns == []
    shown(session, "Hello", "/system Be brief.")
    assert session.turns == [] and session.system == "Be brief."


def test_an_answer_that_was_cut_says_so(session: Session) -> None:
    assert "cut at max_new_tokens 8; /set max_new_tokens" in shown(session, "Hello")


def test_settings_are_shown_changed_and_refused(session: Session) -> None:
    assert "temperature = 0.95" in shown(session, "/set")
    assert "temperature = 0.2" in shown(session, "/set temperature 0.2")
    assert "max_new_tokens = 3" in shown(session, "/set max_new_tokens=3")
    with pytest.raises(UserError, match="expected a number ≥ 0"):
        shown(session, "/set temperature hot")
    with pytest.raises(UserError, match="Did you mean temperature"):
        shown(session, "/set temperatur 1")
    assert session.settings.temperature == 0.2 and session.settings.max_new_tokens == 3


def test_a_misspelled_command(session: Session) -> None:
    with pytest.raises(UserError, match="Did you mean /clear"):
        shown(session, "/claer")


def test_comparing_asks_the_base_and_the_tuned_model(session: Session) -> None:
    with pytest.raises(UserError, match="no adapter is loaded"):
        shown(session, "/compare Who are you?")
    before = shown(session, "Who are you?").splitlines()[0].strip()
    put_on_adapter(session)
    session.turns.clear()
    after = shown(session, "Who are you?").splitlines()[0].strip()
    assert before != after
    session.turns.clear()
    table = shown(session, "/compare Who are you?")
    cells = [part.strip() for line in table.splitlines() if line.startswith("│") for part in line.strip("│").split("│")]
    assert cells[0][:12] == before[:12] and cells[1][:12] == after[:12]
    assert session.turns == []


def test_each_side_of_a_comparison_reads_its_own_earlier_answers(session: Session) -> None:
    put_on_adapter(session)
    asked = "Who are you?"
    shown(session, asked, "And then?")
    with session.engine.base():
        first = session.engine.stream(Conversation((Message("user", asked),)), GREEDY)
        list(first)
    assert first.message.content != session.turns[1].content
    table = shown(session, "/compare More?")
    assert [turn.content for turn in session.before[:2]] == [asked, first.message.content]
    assert len(session.before) == len(session.turns) == 4
    with session.engine.base():
        before = session.engine.chat(Conversation((*session.before, Message("user", "More?"))), GREEDY)
    after = session.engine.chat(Conversation((*session.turns, Message("user", "More?"))), GREEDY)
    cells = [part.strip() for line in table.splitlines() if line.startswith("│") for part in line.strip("│").split("│")]
    assert cells[0][:12] == before.strip()[:12] and cells[1][:12] == after.strip()[:12]
    shown(session, "/compare")
    assert len(session.before) == 4
    shown(session, "/clear")
    assert session.before == []


def test_commands_are_obeyed_in_a_pipe_and_unknown_ones_told(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    put_on_adapter(session)
    lines = ["/set max_new_tokens 3", "Who are you?", "/compare Who are you?", "/foo", "/exit", "never asked"]
    with pytest.raises(UserError, match="1 of 4 questions"):
        answer_lines(session.engine, GREEDY, io.StringIO("\n".join(lines)))
    out, err = capsys.readouterr()
    command, answer, both, unknown = out.split("\n")[:-1]
    assert command == unknown == "" and answer
    short = GenerationConfig(do_sample=False, max_new_tokens=3)
    asked = Conversation((Message("user", "Who are you?"),))
    with session.engine.base():
        before = session.engine.chat(asked, short).strip()
    assert both.split("\t") == [before.replace("\\", "\\\\").replace("\n", "\\n"), answer]
    assert "max_new_tokens = 3" in err and "line 4: There is no command /foo." in err


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "dumb", "HF_HUB_OFFLINE": "1"}


def test_piped_questions_are_answered_one_per_line(tiny_model_dir: Callable[..., Path]) -> None:
    command = [sys.executable, "-m", "tunesmith", "chat", str(tiny_model_dir("llama"))]
    questions = "Who are you?\n\n" + "far too long " * 300 + "\n你好\n"
    done = subprocess.run(
        [*command, "do_sample=false", "max_new_tokens=5"],
        input=questions, env=environment(), capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    first, blank, refused, last = done.stdout.split("\n")[:-1]
    assert first and last and not blank and not refused
    assert "line 3: The conversation is" in done.stderr
    assert "1 of 3 questions could not be answered" in done.stderr and done.returncode == 2


def test_a_model_that_is_not_there_is_told_in_a_line(
    tiny_model_dir: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tiny_model_dir("llama"))
    for arguments, said in [
        ([f"{tmp_path}/typo"], "There is no folder"),
        (["model_name_or_path="], "model_name_or_path is missing"),
        ([model, f"{tmp_path}/none"], f"There is no folder {tmp_path}/none"),
        ([model, model], "is a whole model, not an adapter"),
        ([model, "template=lama3"], "Did you mean llama3"),
    ]:
        assert main(["chat", *arguments]) == 2
        assert said in capsys.readouterr().err


class Terminal:
    """A program on a pseudo terminal: what it shows can be waited for."""

    def __init__(self, command: list[str]) -> None:
        import pty

        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment(), start_new_session=True,
            preexec_fn=_take_terminal,
        )  # fmt: skip
        os.close(slave)
        self.seen = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait_for(self, pattern: str, seconds: float = 120) -> str:
        """Everything shown up to the pattern, which is then taken as read."""
        import select

        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < end, f"no {pattern!r} in {self.seen!r}"
            if select.select([self.master], [], [], 0.5)[0]:
                self.seen += self._decoder.decode(os.read(self.master, 65536))
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches the program
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background has it ignored


def test_a_conversation_on_a_terminal(tiny_model_dir: Callable[..., Path]) -> None:
    """Ctrl-C ends an answer, and at the prompt nothing; mistakes are told and the conversation goes on."""
    endless = tiny_model_dir("llama", max_position_embeddings=1_000_000)
    terminal = Terminal([
        sys.executable, "-m", "tunesmith", "chat", str(endless), "do_sample=false", "max_new_tokens=900000",
    ])  # fmt: skip
    terminal.wait_for("› ")
    terminal.type("Tell me everything\n")
    terminal.wait_for("everything\r\n.{20}")
    terminal.type("\x03")
    terminal.wait_for(r"…\s+› ")
    # Python loses a Ctrl-C that comes in the instant between showing a prompt and waiting at it.
    time.sleep(1)
    terminal.type("\x03")
    terminal.wait_for(r"Ctrl-D leaves\.\s+› ")
    terminal.type("/set temperature -1\n")
    terminal.wait_for(r"expected a number ≥ 0\.[^›]*› ")
    terminal.type("/set max_new_tokens 4\n")
    terminal.wait_for(r"max_new_tokens = 4\s+› ")
    terminal.type("Shorter\n")
    terminal.wait_for(r"cut at max_new_tokens 4.*\s+› ")
    terminal.type("/exit\n")
    assert terminal.process.wait(60) == 0
