"""A job that is killed, stopped or started twice: what was answered is kept, and asked for once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.authoring.chat_server import Answer, Body, ChatServer, diligent, serving
from tests.authoring.library import make, rows

import tunesmith
from tunesmith.runs.read import RunReader

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture
def slow_server() -> Iterator[ChatServer]:
    """The third request and later ones take their time, so that a job can be caught at work."""

    def answer(body: Body, number: int) -> Answer:
        if number > 2:
            time.sleep(1.0)
        return diligent(body, number)

    with serving(answer) as server:
        yield server


def started(server: ChatServer) -> subprocess.Popen[str]:
    """The command as a process of its own, once it waits for its third answer."""
    command = [sys.executable, "-m", "tunesmith", "data", "make", "books", "--out", "space"]
    flags = ["--base-url", server.url, "--model", "tester", "--concurrency", "1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(tunesmith.__file__).parents[1])}
    process = subprocess.Popen(
        [*command, *flags],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    deadline = time.monotonic() + 60
    while len(server.requests) < 3:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.02)
    return process


def test_killed_it_goes_on_and_asks_nothing_twice(slow_server: ChatServer) -> None:
    process = started(slow_server)
    process.kill()
    process.communicate()
    assert RunReader(Path("saves/data/space")).state().status == "killed"
    assert not Path("data/space.jsonl").exists()
    slow_server.answer = diligent
    assert make(slow_server) == 0
    asked = Counter(slow_server.prompts())
    assert len(asked) == 6 and len(rows()) == 6
    twice = [prompt for prompt, times in asked.items() if times > 1]
    assert twice == [slow_server.prompts()[2]]  # whose answer had not come
    assert RunReader(Path("saves/data/space")).state().attempt == 2


def test_ctrl_c_awaits_what_is_on_its_way_and_ends_with_what_there_is(slow_server: ChatServer) -> None:
    process = started(slow_server)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 130, told
    assert len(slow_server.requests) == 3
    assert len(rows()) == 3 and "3 chunks were not asked about" in told
    assert RunReader(Path("saves/data/space")).state().status == "stopped"
    slow_server.answer = diligent
    assert make(slow_server) == 0
    assert len(slow_server.requests) == 6 and len(rows()) == 6


def test_a_stop_file_ends_it_as_ctrl_c_does(slow_server: ChatServer) -> None:
    process = started(slow_server)
    Path("saves/data/space/stop").touch()
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 130, told
    assert RunReader(Path("saves/data/space")).state().status == "stopped"


def test_two_at_once_in_one_place_are_refused(slow_server: ChatServer, capsys: pytest.CaptureFixture[str]) -> None:
    process = started(slow_server)
    try:
        assert make(slow_server) == 2
        assert "at work" in capsys.readouterr().err
    finally:
        process.kill()
        process.communicate()
