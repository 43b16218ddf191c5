"""Documents to data sets from the page: the commands are started, and what they refuse is told."""

import json
import shlex
from pathlib import Path
from typing import Any

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


def test_a_table_is_shown_with_what_becomes_of_its_columns(client: TestClient, workspace: Path) -> None:
    rows = "".join(f"Q{n}?,A{n},{'x' * 1000}\n" for n in range(9))
    (workspace / "faq.csv").write_text(f"question,answer,notes\n{rows}", encoding="utf-8")
    (workspace / "odd.csv").write_text("left,right\n1 apple,red\n", encoding="utf-8")
    (workspace / "text.txt").write_text("No table.", encoding="utf-8")

    def tables(*sources: str, **options: object) -> list[dict[str, Any]]:
        answer = client.post("/api/authoring/tables", json={"sources": sources, "options": options})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["tables"]
        return found

    faq, odd = tables("faq.csv", "odd.csv", "text.txt")
    assert faq["columns"] == ["question", "answer", "notes"] and [row[0] for row in faq["rows"]] == [
        "Q0?",
        "Q1?",
        "Q2?",
    ]
    assert len(faq["rows"][0][2]) < 400
    assert faq["guessed"] and faq["parts"] == {"instruction": ["question"], "output": ["answer"]}
    assert odd["columns"] == ["left", "right"] and odd["problem"]["field"] == "instruction"
    (told,) = tables("odd.csv", instruction="What is {left}?", output="right")
    assert told["parts"] == {"instruction": ["left"], "output": ["right"]} and told["problem"] is None
    outside = client.post("/api/authoring/tables", json={"sources": ["/etc/hosts"], "options": {}})
    assert outside.status_code == 400


def test_the_same_as_a_command_is_quoted_for_each_shell_and_holds_no_key(client: TestClient, workspace: Path) -> None:
    (workspace / "it's.csv").write_text("question,answer\na,b\n", encoding="utf-8")
    options = {"out": "faq", "instruction": "{question}, {answer}?", "as_text": False, "replace": True, "system": "--x"}
    asked = {"sources": ["it's.csv"], "options": options, "api_key": "sk-secret"}
    line = client.post("/api/authoring/convert/command", json=asked).json()
    words = ["data", "convert", "it's.csv", "--out", "faq", "--instruction", "{question}, {answer}?", "--replace"]
    assert shlex.split(line["bash"].replace("\\\n", "")) == ["tunesmith", *words, "--system=--x"]
    assert "'it''s.csv'" in line["powershell"] and "'{question}, {answer}?'" in line["powershell"]
    assert "sk-secret" not in str(line)
    asked["options"] = {"out": "x", "onyl": "text"}
    assert "onyl" in client.post("/api/authoring/convert/command", json=asked).json()["message"]


def test_a_table_that_does_not_do_fails_with_its_reason(client: TestClient, workspace: Path) -> None:
    (workspace / "t.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    asked = {"sources": ["t.csv"], "options": {"out": "t", "instruction": "{nothing}", "output": "{b}"}}
    ended = finished(client, client.post("/api/authoring/convert", json=asked).json()["id"])
    assert ended["status"] == "failed" and "nothing" in str(ended["message"])


def test_one_character_is_taken_out_of_a_play(client: TestClient, workspace: Path) -> None:
    lines = [f"HAMLET: I say {number}.\nHORATIO: And I answer {number}, my lord.\n" for number in range(6)]
    (workspace / "play.txt").write_text("\n".join(lines), encoding="utf-8")
    asked = {"sources": ["play.txt"], "options": {"out": "horatio", "role": ["HORATIO"]}}
    heard = client.post("/api/authoring/speakers", json={"sources": ["play.txt"], "options": {}}).json()["speakers"]
    assert heard == [{"name": "HAMLET", "lines": 6}, {"name": "HORATIO", "lines": 6}]
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
    english, chinese = (client.get("/api/authoring/styles", params={"language": it}).json() for it in ("ja", "zh-CN"))
    assert len(english) == len(chinese) > 3 and english[0]["name"] == "what" and chinese[0]["asks"]
    only = next(one for one in client.get("/api/authoring/options?verb=convert").json() if one["name"] == "only")
    assert (only["kind"], only["choices"]) == ("choice", ["questions", "text"])
    names = {option["name"] for option in client.get("/api/authoring/options?verb=make").json()}
    assert {"model", "base_url", "entries", "styles"} <= names and "run_dir" not in names
