"""Documents to data sets from the page: the commands are started, and what they refuse is told."""

import json
from pathlib import Path

from starlette.testclient import TestClient
from tests.web.serving import wait_for


def finished(client: TestClient, name: str) -> dict[str, object]:
    def ended() -> dict[str, object] | None:
        run: dict[str, object] = client.get(f"/api/runs/{name}").json()["summary"]
        return run if run["status"] in ("finished", "failed", "stopped", "killed") else None

    found: dict[str, object] = wait_for(ended, "the job to end")
    return found


def test_a_table_becomes_a_data_set(client: TestClient, workspace: Path) -> None:
    sent = client.post("/api/documents/upload?name=faq.csv", content="question,answer\n你好吗？,很好\nB?,b\n".encode())
    assert sent.json() == {"path": "documents/faq.csv"} and client.get("/api/documents").json() == ["documents/faq.csv"]
    asked = {
        "sources": ["documents/faq.csv"],
        "options": {"out": "faq", "instruction": "Q: {question}", "output": "{answer}"},
    }
    run = client.post("/api/authoring/convert", json=asked)
    assert run.status_code == 201
    ended = finished(client, run.json()["id"])
    assert (ended["status"], ended["kind"], ended["progress"]) == ("finished", "data convert", 1.0)
    shown = client.post("/api/datasets/faq/rows", json={}).json()
    assert shown["rows"][0]["row"]["instruction"] == "Q: 你好吗？"
    removed = client.delete("/api/datasets/faq/rows/0", params={"revision": shown["revision"]})
    assert removed.json()["removed"] == 1
    assert client.post("/api/datasets/faq/rows", json={}).json()["rows"][0]["row"]["output"] == "b"
    kept = (workspace / "data" / "faq.removed.txt").read_text(encoding="utf-8")
    assert json.loads(kept)["row"]["output"] == "很好"
    (out,) = client.get("/api/datasets/faq/removed").json()
    back = {"line": out["line"], "revision": removed.json()["revision"]}
    assert client.post("/api/datasets/faq/restore", json=back).status_code == 200
    assert client.post("/api/datasets/faq/restore", json=back).status_code == 409  # another tab was faster
    outputs = [row["row"]["output"] for row in client.post("/api/datasets/faq/rows", json={}).json()["rows"]]
    assert outputs == ["b", "很好"] and client.get("/api/datasets/faq/removed").json() == []


def test_a_table_that_does_not_do_fails_with_its_reason(client: TestClient, workspace: Path) -> None:
    (workspace / "t.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    asked = {"sources": ["t.csv"], "options": {"out": "t", "instruction": "{nothing}", "output": "{b}"}}
    ended = finished(client, client.post("/api/authoring/convert", json=asked).json()["id"])
    assert ended["status"] == "failed" and "nothing" in str(ended["message"])


def test_one_character_is_taken_out_of_a_play(client: TestClient, workspace: Path) -> None:
    lines = [f"HAMLET: I say {number}.\nHORATIO: And I answer {number}, my lord.\n" for number in range(6)]
    (workspace / "play.txt").write_text("\n".join(lines), encoding="utf-8")
    asked = {"sources": ["play.txt"], "options": {"out": "horatio", "role": ["HORATIO"]}}
    run = client.post("/api/authoring/roles", json=asked)
    assert run.status_code == 201, run.text
    ended = finished(client, run.json()["id"])
    assert (ended["status"], ended["kind"]) == ("finished", "data roles")
    assert client.post("/api/datasets/horatio/look", json={}).json()["usable"] >= 5


def test_what_can_not_begin_is_told_at_once(client: TestClient, workspace: Path) -> None:
    (workspace / "book.txt").write_text("A long story.", encoding="utf-8")

    def refused(**asked: object) -> str:
        answer = client.post("/api/authoring/make", json={"sources": ["book.txt"], **asked})
        assert answer.status_code == 400, answer.text
        return str(answer.json()["message"])

    assert "name" in refused(options={})
    assert "entires" in refused(options={"out": "x", "entires": 3})
    assert "outside" in refused(options={"out": "x"}, sources=["/etc/hosts"])
    assert refused(options={"out": "x"})  # nobody to ask
    assert client.get("/api/runs").json() == []
    names = {option["name"] for option in client.get("/api/authoring/options?verb=make").json()}
    assert {"model", "base_url", "entries", "styles"} <= names and "run_dir" not in names
