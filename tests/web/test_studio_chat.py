"""Chat: a model in a process of its own, that answers, stops, and is gone when it is unloaded."""

import asyncio
import json
import os
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from starlette.testclient import TestClient
from tests.web.serving import wait_for

from tunesmith.jobs import lines
from tunesmith.runs.run import Run
from tunesmith.web.api import exports
from tunesmith.web.children import Child, Children, Gone, Unwanted
from tunesmith.web.sessions import Session
from tunesmith.web.studio import Studio


def ready(client: TestClient, session: str) -> dict[str, object]:
    def loaded() -> dict[str, object] | None:
        told: dict[str, object] = client.get(f"/api/chat/{session}").json()
        return told if told["status"] != "loading" else None

    found: dict[str, object] = wait_for(loaded, "the model to load")
    return found


def parts_of(text: str) -> list[dict[str, object]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def test_a_model_answers_equally_for_equal_seeds_and_is_gone_when_unloaded(
    client: TestClient, studio: Studio, tiny_model: str
) -> None:
    loading = client.post("/api/chat/load", json={"model": tiny_model, "settings": {"use_cpu": True}})
    assert loading.status_code == 202
    session = loading.json()["session"]
    assert ready(client, session)["status"] == "ready"
    child = studio.children.named(session)
    assert child is not None
    pid = child._process.pid

    def ask(**more: object) -> list[dict[str, object]]:
        asked = {"messages": [{"role": "user", "content": "Hi"}], "settings": {"max_new_tokens": 8}, **more}
        return parts_of(client.post(f"/api/chat/{session}/answer", json=asked).text)

    first, again = ask(seed=5), ask(seed=5)
    assert first[-1]["kind"] == "done" and first[-1]["seed"] == 5 and first[-1]["tokens"] == 8
    said = "".join(str(part["text"]) for part in first[:-1])
    assert said == "".join(str(part["text"]) for part in again[:-1]) == first[-1]["content"]
    assert "adapter" in str(ask(base=True)[-1]["message"])
    assert ask(settings={"temperature": -1})[-1]["kind"] == "error"
    assert ask(messages=[{"role": "assistant", "content": "x"}])[-1]["kind"] == "error"

    other = {"model": tiny_model, "settings": {"use_cpu": True}, "free": [session]}
    replacing = client.post("/api/chat/load", json=other).json()["session"]
    assert not psutil.pid_exists(pid), "the memory is free before another model takes it"
    assert client.post(f"/api/chat/{session}/answer", json={"messages": [{"role": "user"}]}).status_code == 404
    assert [one["session"] for one in client.get("/api/chat").json()] == [replacing]
    assert client.delete(f"/api/chat/{replacing}").status_code == 204
    assert client.get("/api/chat").json() == []


def test_a_model_that_is_not_there_is_told_of(client: TestClient) -> None:
    session = client.post("/api/chat/load", json={"model": "models/nothing"}).json()["session"]
    told = ready(client, session)
    assert told["status"] == "failed" and "models/nothing" in str(told["message"])
    assert client.post(f"/api/chat/{session}/answer", json={"messages": [{"role": "user"}]}).status_code == 409


def test_code_that_ships_with_a_model_runs_only_after_somebody_agreed(
    client: TestClient, tiny_model: str, workspace: Path
) -> None:
    """Also where it is a run that says so."""
    run = workspace / "saves" / "own"
    Run.create(run, {}, {"model_name_or_path": tiny_model, "trust_remote_code": True}).finish("finished")
    (run / "adapter_config.json").write_text("{}", encoding="utf-8")
    for asked in ({"model": "saves/own"}, {"model": tiny_model, "settings": {"trust_remote_code": True}}):
        refused = client.post("/api/chat/load", json=asked)
        assert refused.status_code == 409 and refused.json()["field"] == "trust_remote_code"
        assert tiny_model in refused.json()["message"]


def test_conversations_are_kept_and_nobody_is_overwritten_unseen(client: TestClient) -> None:
    content = {"messages": [{"role": "user", "content": "你好"}]}
    first = client.put("/api/conversations/c1", json={"title": "Eins", "content": content}).json()
    assert client.put("/api/conversations/c1", json={"content": {}, "revision": "old"}).status_code == 409
    assert client.get("/api/conversations/c1").json()["content"] == content
    assert [one["title"] for one in client.get("/api/conversations").json()] == ["Eins"]
    second = client.put("/api/conversations/c1", json={"content": {}, "revision": first["revision"]})
    assert second.status_code == 200
    assert client.delete("/api/conversations/c1").status_code == 204
    assert client.get("/api/conversations/c1").status_code == 404
    assert client.get("/api/conversations/..%2Fqueue").status_code == 404


def test_a_good_answer_becomes_a_row(client: TestClient, workspace: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    for _ in range(2):
        sent = client.post("/api/chat/send_to_dataset", json={"name": "good", "messages": turns, "system": "Be kind."})
        assert sent.status_code == 201
    look = client.post("/api/datasets/good/look", json={}).json()
    assert look["usable"] == 2 and look["format"] == "openai"
    alpaca = workspace / "data" / "plain.jsonl"
    alpaca.write_text('{"instruction": "a", "output": "b"}\n', encoding="utf-8")
    client.post("/api/datasets/add", json={"path": "data/plain.jsonl"})
    assert client.post("/api/chat/send_to_dataset", json={"name": "plain", "messages": turns}).status_code == 201
    assert json.loads(alpaca.read_text(encoding="utf-8").splitlines()[1])["output"] == "Hello!"
    refused = client.post("/api/chat/send_to_dataset", json={"name": "numbers", "messages": turns})
    assert refused.status_code == 400 and ".jsonl" in refused.json()["message"]


@pytest.fixture
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Child:
    """A child that counts, and dies when asked."""
    module = """
        import os
        from tunesmith.jobs.lines import serve

        def count(question, stopped):
            for number in range(question["to"]):
                if stopped.wait(0.01):
                    return
                yield {"number": number}

        def die(question, stopped):
            print("out of luck", file=__import__("sys").stderr, flush=True)
            os._exit(3)
            yield {}

        def look(question, stopped):
            stopped.wait(600)
            yield {}

        def rows(question, stopped):
            yield {"rows": [], "columns": [], "editable": True, "revision": "1"}

        def hang(question, stopped):
            yield {"number": 0}
            __import__("time").sleep(600)

        def forecast(question, stopped):
            if question["settings"]["model_name_or_path"] == "slow/model":
                __import__("time").sleep(600)
            yield {"lines": ["made"]}

        serve({
            "hang": hang, "count": count, "die": die, "look": look, "estimate": look, "rows": rows, "forecast": forecast
        })
    """
    (tmp_path / "counting_child.py").write_text(textwrap.dedent(module), encoding="utf-8")
    source = Path(__file__).parents[2] / "src"

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(source)]))

    return Child("counting_child")


def test_an_answer_is_left_off_when_its_reader_leaves(counting: Child) -> None:
    parts = counting.stream("count", to=10_000)
    assert next(parts)["number"] == 0
    parts.close()  # type: ignore[attr-defined]
    assert [part["number"] for part in counting.stream("count", to=3) if "number" in part] == [0, 1, 2]
    counting.end()
    assert not counting.alive


def test_a_question_afresh_does_not_wait_for_what_the_child_is_still_at(counting: Child) -> None:
    children = Children()
    first = children.asked("counting_child")
    parts = first.stream("hang")
    next(parts)
    parts.close()  # type: ignore[attr-defined]  # nobody waits, and it does not listen
    second = children.afresh("counting_child", lambda: True)
    assert second is not first and not first.alive
    assert second.ask("count", to=3)["number"] == 2 and children.afresh("counting_child", lambda: True) is second
    children.end_all()
    counting.end()


def test_a_question_that_another_page_waits_for_is_not_ended(counting: Child) -> None:
    children = Children()
    parts = children.asked("counting_child").stream("count", to=60)
    next(parts)
    patience = iter([True, False])
    with pytest.raises(Unwanted):
        children.afresh("counting_child", lambda: next(patience))
    assert [part["number"] for part in parts if "number" in part] == list(range(1, 60))
    children.end_all()
    counting.end()


def test_an_export_is_told_though_another_that_was_asked_just_before_is_called_off(
    counting: Child, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page leaves one question and asks the next at once, when the studio has not yet seen it leave."""
    monkeypatch.setattr(exports, "_FORECASTS", "counting_child")
    monkeypatch.setattr(studio.children, "_named", {"counting_child": counting})
    left = threading.Event()

    def ask(name: str, wanted: Callable[[], bool]) -> list[str]:
        return exports.preview_export(exports.Asked(settings={"model_name_or_path": name}), studio, wanted).lines

    with ThreadPoolExecutor(1) as pool:
        earlier = pool.submit(ask, "slow/model", lambda: not left.is_set())
        wait_for(lambda: counting.awaited, "the first question")
        left.set()
        assert ask("some/model", lambda: True) == ["made"]
        with pytest.raises(Unwanted):
            earlier.result()
    assert studio.children.named("counting_child") is not counting
    studio.children.end_all()


@pytest.mark.parametrize(
    ("path", "body"),
    [("datasets/numbers/look", b"{}"), ("estimate", b'{"settings": {"model_name_or_path": "some/model"}}')],
)
def test_what_is_asked_of_data_ends_with_the_browser_that_asked_for_it(
    counting: Child, client: TestClient, studio: Studio, monkeypatch: pytest.MonkeyPatch, path: str, body: bytes
) -> None:
    monkeypatch.setattr(studio.children, "asked", lambda: counting)
    heard = iter([{"type": "http.request", "body": body}])

    async def receive() -> dict[str, object]:
        return next(heard, {"type": "http.disconnect"})

    async def send(message: object) -> None: ...

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": f"/api/{path}", "query_string": b"", "headers": headers}
    asyncio.run(client.app(scope, receive, send))  # type: ignore[arg-type]
    assert client.post("/api/datasets/numbers/rows", json={}).json()["revision"] == "1"
    counting.end()


def test_a_question_that_was_answered_can_be_called_off_without_a_trace() -> None:
    desk = lines._Desk()
    desk.take(1)
    desk.take(2)
    desk.stop(1)
    assert desk.event(1).is_set() and not desk.event(2).is_set()
    desk.done(1)
    desk.stop(1)
    assert list(desk._due) == [2]


def test_a_child_that_dies_says_its_last_words(counting: Child) -> None:
    with pytest.raises(Gone, match="out of luck"):
        counting.ask("die")
    with pytest.raises(Gone):
        counting.ask("count", to=1)


def test_what_a_child_does_not_know_is_refused(counting: Child) -> None:
    with pytest.raises(Exception, match="no operation 'fly'"):
        counting.ask("fly")
    counting.end()


def test_a_line_that_is_no_answer_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = 'import sys; sys.stdin.readline(); print(\'[1]\\n5\\n{"id": 1, "end": true}\', flush=True)'
    (tmp_path / "chattering_child.py").write_text(program, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    child = Child("chattering_child")
    assert child.ask("anything")["end"] is True
    child.end()


def test_a_model_whose_process_died_leaves_no_handles(studio: Studio) -> None:
    child = studio.children.begin("x", "this")  # a program that ends by itself
    studio.sessions._sessions["x"] = Session(session="x", status="ready", model="m")
    wait_for(lambda: not child.alive, "the process to end")
    assert studio.sessions.get("x").status == "failed" and studio.children.named("x") is None
