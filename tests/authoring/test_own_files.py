"""A job writes its own data set anew, and never over what somebody else has put there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.authoring.chat_server import ChatServer, diligent, serving
from tests.authoring.library import make, rows

from tunesmith.cli.main import main

pytestmark = pytest.mark.usefixtures("workplace")
OWN = '{"instruction": "mine", "output": "by hand"}\n'


@pytest.fixture
def server() -> Iterator[ChatServer]:
    for name in ("Venus", "Mars", "Jupiter", "Saturn"):
        Path(f"books/{name}.txt").unlink()
    with serving(diligent) as server:
        assert make(server) == 0
        yield server


def test_its_own_data_set_is_written_anew(server: ChatServer) -> None:
    assert make(server, "--val-size", "1") == 0
    assert make(server, "--val-size", "1") == 0
    assert (len(rows()), len(rows("space_val"))) == (1, 1)
    with Path("data/space_val.jsonl").open("a", encoding="utf-8") as file:
        file.write(OWN)
    assert make(server, "--val-size", "1") == 2
    assert make(server) == 0 and len(rows()) == 2  # whose validation set is not written


def test_rows_that_a_person_added_are_kept(server: ChatServer, capsys: pytest.CaptureFixture[str]) -> None:
    with Path("data/space.jsonl").open("a", encoding="utf-8") as file:
        file.write(OWN)
    assert make(server) == 2
    assert "add --replace" in capsys.readouterr().err
    assert rows()[-1]["instruction"] == "mine" and len(server.requests) == 2
    assert make(server, "--replace") == 0 and len(rows()) == 2
    assert make(server) == 0


def test_another_data_set_of_that_name_is_kept(server: ChatServer) -> None:
    assert main(["data", "remove", "space", "--delete-file"]) == 0
    Path("data/space.jsonl").write_text(OWN, encoding="utf-8")
    assert make(server) == 2
    assert main(["data", "add", "data/space.jsonl"]) == 0
    assert make(server) == 2
    Path("elsewhere").mkdir()
    Path("elsewhere/space.jsonl").write_text(OWN, encoding="utf-8")
    assert make(server, "--dataset-dir", "elsewhere") == 2
    for folder in ("data", "elsewhere"):
        assert Path(folder, "space.jsonl").read_text(encoding="utf-8") == OWN


def test_another_command_does_not_write_over_it(server: ChatServer) -> None:
    Path("play.txt").write_text("Ann: Hello there, Bob?\nBob: Good day to you, Ann.\n" * 3, encoding="utf-8")
    before = rows()
    assert main(["data", "roles", "play.txt", "--role", "Bob", "--out", "space"]) == 2
    assert rows() == before


def test_held_back_rows_of_somebody_else_are_kept(server: ChatServer) -> None:
    beside = Path("data/space.rejected.jsonl")
    beside.write_text(OWN, encoding="utf-8")
    assert make(server) == 2
    assert make(server, "--min-chars", "95") == 2
    assert beside.read_text(encoding="utf-8") == OWN
    beside.unlink()
    assert make(server, "--min-chars", "95") == 0
    assert len(beside.read_text(encoding="utf-8").splitlines()) == 1
    assert make(server) == 0 and not beside.exists()
    Path("play.txt").write_text("Ann: Hello there, Bob?\nBob: Good day to you, Ann.\n" * 3, encoding="utf-8")
    Path("data/bob.rejected.jsonl").write_text(OWN, encoding="utf-8")
    assert main(["data", "roles", "play.txt", "--role", "Bob", "--out", "bob"]) == 2
    assert main(["data", "convert", "play.txt", "--out", "bob"]) == 2
    assert json.loads(Path("data/bob.rejected.jsonl").read_text(encoding="utf-8"))["instruction"] == "mine"
