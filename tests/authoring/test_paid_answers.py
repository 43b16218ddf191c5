"""Answers cost money: none is lost, asked for again or unreachable, whatever is in it or changes around it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.authoring.chat_server import Answer, Body, diligent, entries_about, serving
from tests.authoring.library import make, rows

pytestmark = pytest.mark.usefixtures("workplace")


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
