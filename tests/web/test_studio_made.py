"""Rows that a model wrote: a person's decisions count whenever the data set is written, and nobody's change is lost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.authoring.chat_server import Answer, Body, entries_about, serving
from tests.web.serving import wait_for

TEXT = "The tower was built in 1911. Its keeper lives alone there. The lamp burns whale oil each night."
OPTIONS = {"out": "tower", "model": "tester", "entries": 3, "chunk_tokens": 30}
KEY = "sk-kept-nowhere"
RUN = "/api/runs/saves/data/tower"


def answer(body: Body, number: int) -> Answer:
    """Three entries, of which one cites what was never written."""
    entries = entries_about(body)
    entries[2]["evidence"] = "words that never stood anywhere in it"
    return Answer(json.dumps({"entries": entries}))


@pytest.fixture
def made(client: TestClient, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """A finished job, and what is told of its rows."""
    monkeypatch.setenv("TUNESMITH_CACHE", str(workspace / "cache"))
    (workspace / "tower.txt").write_text(TEXT, encoding="utf-8")
    with serving(answer) as server:
        asked = {"sources": ["tower.txt"], "options": {**OPTIONS, "base_url": server.url}, "api_key": KEY}
        told = client.post("/api/authoring/make/preview", json=asked)
        assert "1 document" in told.text and not server.requests, told.text
        run = client.post("/api/authoring/make", json=asked)
        assert run.json() == {"id": "saves/data/tower"}, run.text
        wait_for(lambda: client.get(RUN).json()["summary"]["status"] == "finished", "the job to finish")
        assert server.keys == [f"Bearer {KEY}"]

    def rows(**query: Any) -> dict[str, Any]:
        answer = client.get(f"{RUN}/made", params=query)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    return rows


def questions(workspace: Path) -> list[str]:
    lines = (workspace / "data" / "tower.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["instruction"] for line in lines]


def test_a_person_has_the_last_word(client: TestClient, workspace: Path, made: Callable[..., dict[str, Any]]) -> None:
    told = made()
    first, second, third = told["rows"]
    assert (told["kept"], told["held"], told["unwritten"]) == (2, 1, 0)
    assert third["kind"] == "evidence" and first["source"] == "tower.txt" and first["evidence"]
    assert questions(workspace) == [first["question"], second["question"]]
    assert not [path for path in workspace.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]

    def decide(row: dict[str, Any], **decision: str) -> None:
        assert client.put(f"{RUN}/made/{row['key']}", json=decision).status_code == 204

    decide(first, verdict="rejected")
    decide(second, verdict="accepted", question="Who lives there?")
    decide(third, verdict="accepted")
    told = made(state="decided")
    assert [(row["kind"], row["by_hand"]) for row in told["rows"]] == [("by hand", True), ("", True), ("", True)]
    assert told["unwritten"] == 3 and questions(workspace) == [first["question"], second["question"]]
    assert client.post(f"{RUN}/made/write", json={}).json() == {"rows": {"tower": 2}}
    assert questions(workspace) == ["Who lives there?", third["question"]] and made()["unwritten"] == 0
    beside = (workspace / "data" / "tower.rejected.jsonl").read_text(encoding="utf-8")
    assert json.loads(beside)["instruction"] == first["question"]

    # What somebody changed in the file since is not written over unseen.
    with (workspace / "data" / "tower.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"instruction": "Mine?", "output": "Yes."}\n')
    decide(first, verdict="open")
    refused = client.post(f"{RUN}/made/write", json={})
    assert refused.status_code == 409 and refused.json()["field"] == "revision" and "Mine?" in questions(workspace)
    client.post(f"{RUN}/made/write", json={"anyway": True})
    assert questions(workspace) == [first["question"], "Who lives there?", third["question"]]

    assert [row["key"] for row in made(query="whale")["rows"]] == [third["key"]]
    assert [row["key"] for row in made(newest=True, limit=1)["rows"]] == [third["key"]]
    assert client.put(f"{RUN}/made/no-key", json={"verdict": "accepted"}).status_code == 422

    # The same command asks nothing twice and keeps what was decided.
    client.put(f"{RUN}/made/{first['key']}", json={"verdict": "rejected"})
    with serving(answer) as nobody:
        client.post(
            "/api/authoring/make", json={"sources": ["tower.txt"], "options": {**OPTIONS, "base_url": nobody.url}}
        )
        wait_for(lambda: client.get(RUN).json()["attempt"] == 2, "the second attempt")
        wait_for(lambda: client.get(RUN).json()["summary"]["status"] == "finished", "its end")
        assert not nobody.requests
    assert questions(workspace) == ["Who lives there?", third["question"]] and made()["unwritten"] == 0


def test_what_an_address_must_not_hold_is_told(client: TestClient, workspace: Path) -> None:
    (workspace / "a.txt").write_text(TEXT, encoding="utf-8")
    options = {"out": "a", "model": "m", "base_url": "http://me:secret@127.0.0.1:9/v1"}
    refused = client.post("/api/authoring/make", json={"sources": ["a.txt"], "options": options})
    assert refused.status_code == 400 and refused.json()["field"] == "base_url" and "secret" not in refused.text
