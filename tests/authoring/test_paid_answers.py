"""Answers cost money: none is lost, asked for again or unreachable, whatever is in it or changes around it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.authoring.chat_server import Answer, Body, diligent, entries_about, error, serving
from tests.authoring.library import make, rows

from tunesmith.authoring.chunk import Chunk
from tunesmith.authoring.decisions import Decision, decide
from tunesmith.authoring.journal import Answer as Answered
from tunesmith.authoring.journal import Journal
from tunesmith.authoring.publish import publish
from tunesmith.cli.main import main
from tunesmith.jobs.made import MadeRows, write
from tunesmith.runs.layout import RunLayout
from tunesmith.runs.read import RunReader

pytestmark = pytest.mark.usefixtures("workplace")


class Killed(BaseException):
    """Ends a job as SIGKILL does, where nothing can be recorded any more."""


def killed(*_: Any, **__: Any) -> Any:
    raise Killed


def looked_at(**question: Any) -> dict[str, Any]:
    """What the studio shows of the rows."""
    return next(MadeRows().show({"run": "saves/data/space", **question}, threading.Event()))


def decide_on(row: dict[str, Any], **decision: Any) -> None:
    decide(RunLayout(Path("saves/data/space")).decisions, row["key"], Decision(**decision))


def test_prompts_and_kinds_may_be_edited_without_losing_what_was_answered() -> None:
    assert main(["data", "prompts", "mine"]) == 0
    with serving(diligent) as server:
        assert make(server, "--prompts", "mine", "--judge") == 0
        before = rows()
        for name in ("questions.md", "judge.md", "styles.txt"):
            with Path("mine/en", name).open("a", encoding="utf-8") as file:
                file.write("\nriddle: be nice\n")
        assert (looked_at()["kept"], looked_at()["held"]) == (6, 0)
        shutil.rmtree("mine/en")
        assert list(write({"run": "saves/data/space"}, threading.Event())) == [{"rows": {"space": 6}}]
        assert rows() == before and len(server.requests) == 12


def test_a_judge_follows_what_a_person_decided_and_its_price_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def twice(body: Body, number: int) -> Answer:
        if "<question>" in body["messages"][-1]["content"]:
            return diligent(body, number)
        (entry, *_) = entries_about(body)
        return Answer(json.dumps({"entries": [entry, {**entry, "question": f"{entry['question']}?"}]}))

    judging = ("--judge", "--entries", "4", "--chunk-tokens", "60", "--price-out", "1000000")
    with serving(twice) as server:
        assert make(server, *judging[1:]) == 0
        assert (len(rows()), len(server.requests)) == (6, 6)
        first, *_, last = looked_at(state="kept")["rows"]
        decide_on(first, verdict="accepted", question="What is told of a giant?")  # so that another repeats nothing
        decide_on(last, verdict="rejected")
        capsys.readouterr()
        assert make(server, *judging, "--dry-run") == 0
        assert "about 300.0000 at the given prices" in capsys.readouterr().out  # 5 verdicts of 60 tokens
        assert make(server, *judging) == 0
        assert len(server.requests) == 6 + 5 and len(rows()) == 6
        assert looked_at()["kinds"] == {"duplicate": 5, "by hand": 1}
        assert make(server, *judging) == 0 and len(server.requests) == 11


@pytest.mark.parametrize("place", ["asking.Journal", "asking.Run.create", "asking.Run.begin_attempt", "made.publish"])
def test_killed_at_any_point_the_same_command_goes_on(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    times = 0

    def on_its_second_call(*given: Any, **named: Any) -> Any:
        nonlocal times
        times += 1
        return publish(*given, **named) if times == 1 else killed()

    with serving(diligent) as server:
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(f"tunesmith.jobs.{place}", on_its_second_call if place == "made.publish" else killed)
            make(server, "--val-size", "2")
        assert make(server, "--val-size", "2") == 0
        assert len(rows()) == 4 and len(rows("space_val")) == 2 and len(server.requests) == 6


def test_a_journal_of_another_version_leaves_the_run_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(diligent) as server:
        assert make(server) == 0
        with closing(sqlite3.connect("saves/data/space/journal.sqlite")) as base:
            base.execute("PRAGMA user_version = 9")
        assert make(server) == 2
    assert "by another version" in capsys.readouterr().err
    assert RunReader(Path("saves/data/space")).state().status == "finished"


def test_chunks_that_a_server_forbids_cost_no_other() -> None:
    """However many they are, and wherever they stand."""
    for number in range(12):
        Path(f"books/A{number}.txt").write_text(f"Nobody likes to hear of hill {number} and its end.", encoding="utf-8")

    def answer(body: Body, number: int) -> Answer:
        if "Nobody likes" not in body["messages"][-1]["content"]:
            return diligent(body, number)
        return error(403, "flagged by moderation") if number % 2 else Answer(finish="content_filter")

    with serving(answer) as server:
        assert make(server, "--concurrency", "1") == 0
        assert len(rows()) == 6 and len(server.requests) == 18
        assert make(server) == 0 and len(server.requests) == 18


def test_the_log_of_writes_is_cleared_while_questions_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal, closing(sqlite3.connect(path)) as other:
        with journal.planning():
            journal.add(Path("book.txt"), lambda: "Book", (Chunk(str(at), at, at + 1, 1) for at in range(200)))
        taken = journal.sources()
        first = next(taken)
        journal.record("q", "questions", Answered("answered", []))
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
        assert [each.number for each in (first, *taken)] == list(range(200))


def test_one_answer_that_can_not_be_read_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model in a loop opens brackets without end; a reader may stumble in ways nobody thought of."""

    def answer(body: Body, number: int) -> Answer:
        if "planet Mars" in body["messages"][1]["content"]:
            return Answer('{"entries": ' + "[" * 60_000)
        return diligent({**body, "messages": body["messages"][:2]}, number)

    with serving(answer) as server:
        assert make(server, "--concurrency", "1") == 0
        assert len(rows()) == 5 and len(server.requests) == 5 + 3
        monkeypatch.setattr("tunesmith.authoring.candidates.objects", lambda text, key: 1 / 0)
        Path("books/Neptune.txt").write_text("Neptune has the fastest winds of all the planets.", encoding="utf-8")
        assert make(server) == 0
        assert len(server.requests) == 5 + 3 + 3
    report = json.loads(Path("saves/data/space/report.json").read_text(encoding="utf-8"))
    assert (report["rows"], report["calls"], report["chunks_failed"]) == ({"space": 5}, 11, 2)


def test_half_a_character_spoils_neither_an_answer_nor_a_document() -> None:
    """Models cut emoji in two, and so do exports of chats."""
    half = json.loads('"\\ud83d"')

    def answer(body: Body, number: int) -> Answer:
        told = entries_about({**body, "messages": body["messages"][:2]})
        for each in told:
            each["question"] += half
        bad = "planet Mars" in body["messages"][1]["content"] and len(body["messages"]) == 2
        return Answer(raw=json.dumps({"choices": [{"message": {"content": half if bad else json.dumps(told)}}]}))

    Path("books/chat.json").write_text('[{"text": "The half \\ud83d moon shines over hill 9."}]', encoding="utf-8")
    with serving(answer) as server:
        assert make(server) == 0
        assert len(server.requests) == 7 + 1  # one was no JSON
        assert make(server) == 0
        assert len(server.requests) == 7 + 1
    made = rows()
    assert len(made) == 7 and all("\N{REPLACEMENT CHARACTER}" in row["instruction"] for row in made)
