"""The server as people start it: runs outlive it, the queue survives it, and it asks who comes."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2
from tests.web.serving import Server, settings_for, wait_for

from tunesmith.runs.run import Run

Serve = Callable[..., Server]
HEAVY = ("torch", "transformers", "peft", "accelerate")


def test_a_run_outlives_the_server_and_is_stopped_and_resumed_by_the_next(
    serve: Serve, tiny_model: str, workspace: Path
) -> None:
    first = serve()
    asked = settings_for(tiny_model, max_steps=4000, output_dir="saves/long", logging_steps=1, save_steps=4000)
    assert first.http.post("/api/runs", json={"settings": asked}).status_code == 201
    waiting = settings_for(tiny_model, output_dir="saves/next")
    assert first.http.post("/api/runs", json={"settings": waiting}).status_code == 201
    wait_for(lambda: first.run("saves/long")["step"] > 2, "the first steps")
    first.kill()

    second = serve()
    told = second.run("saves/long")
    assert told["status"] == "running" and told["last_loss"] > 0
    assert second.run("saves/next")["queue_position"] == 1
    seen = told["step"]
    wait_for(lambda: second.run("saves/long")["step"] > seen, "the run to go on")

    assert second.http.post("/api/runs/saves%2Flong/stop").status_code == 202
    stopped = wait_for(lambda: (run := second.run("saves/long"))["status"] == "stopped" and run, "the run to stop")
    assert stopped["resumable"]
    wait_for(lambda: second.run("saves/next")["queue_position"] is None, "the queued run to have its turn")
    assert second.run("saves/next")["status"] == "starting"
    assert second.http.post("/api/runs/saves/next/kill").status_code == 202  # its end is seen elsewhere

    assert second.http.post("/api/runs/saves/long/resume").status_code == 202
    wait_for(lambda: second.run("saves/long")["step"] > stopped["step"], "the resumed run to go on")
    killed = second.http.post("/api/runs/saves/long/kill").json()
    assert killed["status"] == "stopped" and killed["resumable"]
    state = json.loads((workspace / "saves" / "long" / "state.json").read_text(encoding="utf-8"))
    assert state["attempt"] == 2


def events_of(server: Server, address: str, wanted: str, **headers: str) -> tuple[str, dict[str, object]]:
    """The cursor and data of the first event of a kind."""
    with server.http.stream("GET", address, headers={"accept": "text/event-stream", **headers}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        event: dict[str, str] = {}
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            event[name] = value
            if not line and event.get("event") == wanted:
                return event["id"], json.loads(event["data"])
    raise AssertionError(f"the stream ended without {wanted}")


def test_a_page_goes_on_at_its_cursor_with_another_server(serve: Serve, workspace: Path) -> None:
    run = Run.create(Path("saves/a"), {}, "stage: sft\n")
    run.begin_attempt()
    run.metric(1, loss=3.0)
    first = serve()
    cursor, data = events_of(first, "/api/events?run=saves/a", "run")
    assert [row["step"] for row in data["metrics"]] == [1]  # type: ignore[attr-defined]
    first.kill()
    run.metric(2, loss=2.0)
    run.run_log("meanwhile")

    second = serve()
    later, data = events_of(second, "/api/events?run=saves/a", "run", **{"last-event-id": cursor})
    assert [row["step"] for row in data["metrics"]] == [2] and data["log"] == ["meanwhile"]  # type: ignore[attr-defined]
    assert later != cursor
    run.finish("finished")


def test_a_second_studio_of_the_same_workspace_says_where_the_first_is(serve: Serve, workspace: Path) -> None:
    first = serve()
    command = [sys.executable, "-m", "tunesmith", "webui", "--no-browser", "--workspace", str(workspace)]
    told = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60)
    assert told.returncode == 0 and first.url in told.stdout


def test_of_two_studios_that_are_opened_at_once_one_serves(workspace: Path) -> None:
    command = [sys.executable, "-m", "tunesmith", "webui", "--no-browser", "--port", "0", "--workspace", str(workspace)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8")
        for _ in range(2)
    ]
    try:
        first_lines = [process.stdout.readline() for process in both if process.stdout]
        assert sorted("open already" in line for line in first_lines) == [False, True], first_lines
        assert len({line.split()[-1] for line in first_lines}) == 1, first_lines
    finally:
        for process in both:
            process.kill()
            process.communicate()


def test_ctrl_c_ends_the_studio_at_once_and_without_a_traceback(workspace: Path) -> None:
    """While a page hears its events, and another waits for a child to answer."""
    command = [sys.executable, "-m", "tunesmith", "webui", "--no-browser", "--port", "0", "--workspace", str(workspace)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, encoding="utf-8") as process:  # type: ignore[call-overload]
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with httpx2.stream("GET", f"{url}api/events") as stream, ThreadPoolExecutor() as pool:
            waits = pool.submit(httpx2.post, f"{url}api/datasets/numbers/look", json={}, timeout=60)
            lines = stream.iter_lines()
            assert next(lines).startswith("retry")
            process.send_signal(signal.SIGINT)
            list(lines)  # it ends whole, and is not torn
            with suppress(httpx2.HTTPError):
                assert waits.result().status_code < 500
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 0 and "Traceback" not in told, told


def test_other_machines_are_let_in_with_the_token_alone(serve: Serve, workspace: Path) -> None:
    server = serve("--host", "0.0.0.0")
    address, _, token = server.url.partition("?token=")
    assert len(token) >= 24
    left = [path for path in (workspace / ".tunesmith").iterdir() if token in path.read_text(encoding="utf-8")]
    assert [path.name for path in left] == ["token"] and left[0].stat().st_mode & 0o077 == 0
    refused = server.http.get("/api/runs")
    assert refused.status_code == 401 and "token" in refused.json()["message"]
    with httpx2.Client(base_url=address) as browser:
        entered = browser.get(f"/?token={token}")
        assert entered.status_code == 303 and token not in entered.headers["location"]
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert browser.get("/api/runs").status_code == 200
        assert browser.get("/?token=wrong-and-long-enough").status_code in (200, 503)
    assert server.http.get("/api/runs", headers={"authorization": f"Bearer {token}"}).status_code == 200
    server.http = httpx2.Client(base_url=address, headers={"authorization": f"Bearer {token}"})


def test_the_server_holds_no_model_library(workspace: Path, tmp_path: Path) -> None:
    """After every endpoint that needs no child process was asked."""
    program = """
import json, sys
from pathlib import Path
from starlette.testclient import TestClient
from tunesmith.web.app import create_app
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import Workspace
studio = Studio(Workspace(Path.cwd()))
with TestClient(create_app(studio), base_url="http://localhost") as client:
    for address in ("/api/about", "/api/schema", "/api/runs", "/api/datasets", "/api/arguments", "/api/poll", "/"):
        client.get(address)
    settings = {"model_name_or_path": "some/model", "dataset": "numbers"}
    assert client.post("/api/config/check", json={"settings": settings}).json()["ok"]
    client.post("/api/config/command", json={"settings": settings})
Path(sys.argv[1]).write_text(json.dumps(sorted(sys.modules)), encoding="utf-8")
"""
    found = tmp_path / "modules.json"
    subprocess.run([sys.executable, "-c", program, str(found)], check=True, capture_output=True, cwd=workspace)
    loaded = {name.split(".")[0] for name in json.loads(found.read_text(encoding="utf-8"))}
    assert loaded & {*HEAVY, "numpy", "pyarrow", "matplotlib"} == set()
