"""A job that is killed, stopped or started twice: what was answered is kept, and asked for once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.authoring.chat_server import Answer, Body, ChatServer, diligent, serving
from tests.authoring.library import make, rows

import tunesmith
from tunesmith.cli.main import main
from tunesmith.runs.read import RunReader
from tunesmith.web.app import create_app
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import Workspace

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


def started(server: ChatServer, *more: str) -> subprocess.Popen[str]:
    """The command as a process of its own, once it waits for its third answer."""
    command = [sys.executable, "-m", "tunesmith", "data", "make", "books", "--out", "space"]
    flags = ["--base-url", server.url, "--model", "tester", "--concurrency", "1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(tunesmith.__file__).parents[1])}
    process = subprocess.Popen(
        [*command, *flags, *more],
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
    assert "3, of which 3 can be used" in told and "assistant: " in told  # as every way to a data set ends
    assert RunReader(Path("saves/data/space")).state().status == "stopped"
    slow_server.answer = diligent
    assert make(slow_server) == 0
    assert len(slow_server.requests) == 6 and len(rows()) == 6


def test_runs_resume_goes_on_from_anywhere(
    slow_server: ChatServer, monkeypatch: pytest.MonkeyPatch, workplace: Path
) -> None:
    Path("mine.txt").write_text("riddle: asks in the form of a riddle\n", encoding="utf-8")
    process = started(slow_server, "--styles", "mine.txt")
    process.kill()
    process.communicate()
    slow_server.answer = diligent
    monkeypatch.chdir("/")
    assert main(["runs", "resume", str(workplace / "saves/data/space")]) == 0
    monkeypatch.chdir(workplace)
    assert len(rows()) == 6 and len(slow_server.requests) == 7
    assert main(["runs", "resume", "saves/data/space"]) == 2  # it has finished


def test_resumed_it_replaces_no_row_that_was_changed_meanwhile(slow_server: ChatServer, workplace: Path) -> None:
    """By the command line and by the studio alike."""
    Path("data").mkdir()
    Path("data/space.jsonl").write_text('{"instruction": "Earlier", "output": "Earlier"}\n', encoding="utf-8")
    process = started(slow_server, "--replace")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    changed = Path("data/space.jsonl").read_text(encoding="utf-8").replace("?", "??")
    assert "Earlier" not in changed
    Path("data/space.jsonl").write_text(changed, encoding="utf-8")
    slow_server.answer = diligent
    assert main(["runs", "resume", "saves/data/space"]) == 2
    studio = create_app(Studio(Workspace(workplace.resolve())))
    with TestClient(studio, base_url="http://localhost") as client:
        refused = client.post("/api/runs/saves/data/space/resume")
    assert refused.status_code == 400 and "space" in refused.json()["message"]
    assert Path("data/space.jsonl").read_text(encoding="utf-8") == changed


def test_a_stop_file_ends_it_as_ctrl_c_does(slow_server: ChatServer) -> None:
    process = started(slow_server)
    Path("saves/data/space/stop").touch()
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 130, told
    assert RunReader(Path("saves/data/space")).state().status == "stopped"


@pytest.mark.parametrize("what", ["a document", "an answer"])
def test_a_full_disk_is_told_and_what_was_answered_before_is_kept(
    what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite ends a transaction itself when there is no room."""
    connect = sqlite3.connect

    def connected(*given: Any, **named: Any) -> sqlite3.Connection:
        base = connect(*given, **named)
        (pages,) = base.execute("PRAGMA page_count").fetchone()
        base.execute(f"PRAGMA max_page_count = {pages + 2}")
        return base

    words = "Neptune has the fastest winds of all the planets. " * (2000 if what == "a document" else 20)
    with serving(diligent) as server:
        assert make(server) == 0
        monkeypatch.setattr("tunesmith.authoring.journal.sqlite3.connect", connected)
        Path("books/Neptune.txt").write_text(words, encoding="utf-8")
        server.answer = lambda body, number: Answer(json.dumps({"entries": [{"question": "?" * 9999, "answer": "!"}]}))
        assert make(server) == 2
        assert "Can't write the journal" in (told := capsys.readouterr().err) and "full" in told.split("→")[0]
        assert len(rows()) == 6 and len(server.requests) == 6 + (what == "an answer")


def test_two_at_once_in_one_place_are_refused(slow_server: ChatServer, capsys: pytest.CaptureFixture[str]) -> None:
    process = started(slow_server)
    try:
        assert make(slow_server) == 2
        assert "at work" in capsys.readouterr().err
    finally:
        process.kill()
        process.communicate()
