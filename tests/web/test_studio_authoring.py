"""Documents to data sets from the page: the commands are started, and what they refuse is told."""

import json
import shlex
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient
from tests.web.serving import wait_for

from tunesmith.jobs.documents import DOCUMENTS
from tunesmith.jobs.lines import CalledOff
from tunesmith.web.studio import Studio


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


def test_tables_beyond_the_first_are_counted_and_those_of_one_name_told_apart(workspace: Path) -> None:
    for folder in "abcdefgh":
        (workspace / "docs" / folder).mkdir(parents=True)
        (workspace / "docs" / folder / "faq.csv").write_text("question,answer\na,b\n", encoding="utf-8")
    pq.write_table(pa.table({"question": ["a"], "answer": ["b"]}), workspace / "docs" / "rows.parquet")
    (workspace / "docs" / "text.txt").write_text("No table.", encoding="utf-8")

    def told(**options: object) -> dict[str, Any]:
        (answer,) = DOCUMENTS["tables"]({"sources": ["docs"], "options": options}, threading.Event())
        return answer

    found = told()
    assert [table["name"] for table in found["tables"]] == [f"docs/{folder}/faq.csv" for folder in "abcdef"]
    assert found["more"] == 3
    as_text = told(as_text=True)  # parquet has rows all the same
    assert [table["name"] for table in as_text["tables"]] == ["docs/rows.parquet"] and as_text["more"] == 0


def test_who_speaks_is_called_off_within_a_text(tmp_path: Path) -> None:
    (tmp_path / "play.txt").write_text("HAMLET: I say.\n\nHORATIO: I answer.\n\n" * 50, encoding="utf-8")
    asked: list[int] = []

    class Late(threading.Event):
        def is_set(self) -> bool:
            asked.append(1)
            return len(asked) > 20

    with pytest.raises(CalledOff):
        list(DOCUMENTS["speakers"]({"sources": [str(tmp_path / "play.txt")], "options": {}}, Late()))
    assert len(asked) == 21


def test_documents_are_read_apart_from_other_questions_for_as_long_as_somebody_wants_it(
    client: TestClient, studio: Studio, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "play.txt").write_text("HAMLET: I say.", encoding="utf-8")
    heard: list[object] = []

    class Reader:
        def ask(self, do: str, wanted: Callable[[], bool], **arguments: object) -> dict[str, object]:
            heard.append((do, wanted()))
            return {"speakers": [{"name": "HAMLET", "lines": 1}]}

    def afresh(module: str, wanted: Callable[[], bool]) -> Reader:
        heard.append((module, wanted()))
        return Reader()

    monkeypatch.setattr(studio.children, "afresh", afresh)
    told = client.post("/api/authoring/speakers", json={"sources": ["play.txt"], "options": {}}).json()
    assert heard == [("tunesmith.jobs.documents", True), ("speakers", True)]
    assert told["speakers"][0]["name"] == "HAMLET"


@pytest.mark.parametrize("what", ["tables", "speakers", "convert/command", "make/preview", "roles"])
def test_a_link_in_a_folder_does_not_lead_out_of_the_workspace(
    what: str, client: TestClient, workspace: Path, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("question,answer\nsecret,word\n", encoding="utf-8")
    (workspace / "docs").mkdir()
    link(workspace / "docs" / "x.csv", secret)
    asked = {"sources": ["docs"], "options": {"out": "x", "model": "m"}}
    refused = client.post(f"/api/authoring/{what}", json=asked)
    assert (refused.status_code, refused.json()["field"]) == (400, "sources")
    assert "x.csv lies outside the workspace" in refused.json()["message"]


def test_the_command_names_the_variable_that_it_takes_the_key_from(client: TestClient, workspace: Path) -> None:
    (workspace / "book.txt").write_text("A long story.", encoding="utf-8")
    options = {"out": "x", "model": "m", "base_url": "http://127.0.0.1:9/v1", "api_key_env": "FOO"}

    def told(verb: str = "make", **more: object) -> dict[str, str]:
        asked = {"sources": ["book.txt"], "options": options, **more}
        answer: dict[str, str] = client.post(f"/api/authoring/{verb}/command", json=asked).json()
        return answer

    own, typed = told(), told(keyed=True)
    assert own["key_variable"] == "FOO" and "--api-key-env FOO" in own["bash"]
    assert typed["key_variable"] == "TUNESMITH_API_KEY" and "FOO" not in typed["bash"]
    convert = told("convert", options={"out": "x"})
    assert convert["key_variable"] == ""


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
