"""One after another on each device, in an order that people may change, kept in a file."""

import itertools
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.web.serving import settings_for, wait_for

from tunesmith.runs.processes import birth
from tunesmith.runs.read import RunReader
from tunesmith.runs.run import Run
from tunesmith.web import queue as queue_module
from tunesmith.web.api import runs as runs_module
from tunesmith.web.queue import Job, Queue
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import Clash

NOBODY = (1 << 22) + 1
"""No process has this number."""


def waiting(name: str, *devices: str) -> Job:
    Run.create(Path(name), {"name": name}, f"name: {name}\n")
    return Job(name, "tunesmith", ["version"], list(devices))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Processes that the queue believes to have started: run → pid. They live until they are taken out."""
    processes: dict[str, int] = {}
    pids = itertools.count(1000)

    def start(run: Path, arguments: list[str], *, module: str, environment: dict[str, str]) -> int:
        processes[run.as_posix()] = next(pids)
        return processes[run.as_posix()]

    monkeypatch.setattr(queue_module, "start_detached", start)
    monkeypatch.setattr(queue_module, "birth", lambda pid: "born")
    monkeypatch.setattr(queue_module, "is_alive", lambda pid, born: pid in processes.values())
    return processes


def test_each_device_has_one_run_and_nobody_overtakes_on_it(workspace: Path, started: dict[str, int]) -> None:
    queue = Queue(workspace / "queue.json")
    for job in (waiting("a", "0"), waiting("b", "0", "1"), waiting("c", "1"), waiting("d", "2"), waiting("e")):
        queue.add(job)
    queue.tick()
    assert list(started) == ["a", "d", "e"]
    del started["a"]
    queue.tick()
    assert "b" in started and "c" not in started
    del started["b"]
    queue.tick()
    assert "c" in started


def test_the_order_is_changed_and_outlives_the_server(workspace: Path, started: dict[str, int]) -> None:
    queue = Queue(workspace / "queue.json")
    for name in ("a", "b", "c", "d"):
        queue.add(waiting(name, "0"))
    queue.tick()
    assert queue.order(["d", "nobody", "b"]) == ["d", "b", "c"]
    assert queue.order(["c", "d", "b"], seen=["b", "c", "d"]) is None  # somebody else was faster
    assert queue.order(["d", "b", "c"], seen=["gone", "d", "b", "c"]) == ["d", "b", "c"]

    again = Queue(workspace / "queue.json")
    assert again.waiting() == ["d", "b", "c"]
    assert again.place("d").number == 1 and again.place("a").number is None
    again.tick()
    assert list(started) == ["a"]
    del started["a"]
    again.tick()
    assert list(started) == ["d"]


def test_a_run_that_nobody_queued_is_waited_for(workspace: Path, started: dict[str, int]) -> None:
    foreign = ["by-hand"]
    queue = Queue(workspace / "queue.json", lambda: foreign)
    queue.add(waiting("a", "0"))
    queue.add(waiting("light"))
    queue.tick()
    assert list(started) == ["light"]
    foreign.clear()
    queue.tick()
    assert "a" in started


def test_secrets_go_to_the_process_and_to_no_file(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, str] = {}

    def start(run: Path, arguments: list[str], *, module: str, environment: dict[str, str]) -> int:
        given.update(environment)
        return 1

    monkeypatch.setattr(queue_module, "start_detached", start)
    queue = Queue(workspace / "queue.json")
    queue.add(waiting("a", "3"), {"HF_TOKEN": "hf_secret"})
    assert "hf_secret" not in (workspace / "queue.json").read_text(encoding="utf-8")
    queue.tick()
    assert given == {"CUDA_VISIBLE_DEVICES": "3", "HF_TOKEN": "hf_secret"}


def test_a_token_that_went_with_the_server_is_asked_for_again(
    client: TestClient, studio: Studio, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, dict[str, str]] = {}

    def start(run: Path, arguments: list[str], *, module: str, environment: dict[str, str]) -> int:
        given[run.name] = environment
        return NOBODY

    monkeypatch.setattr(queue_module, "start_detached", start)
    token = {"HF_TOKEN": "hf_secret", "MASTER_PORT": ""}
    before = Queue(workspace / "queue.json")
    for name in ("saves/a", "saves/b"):
        before.add(waiting(name, "0"), token)
    before.add(waiting("saves/c", "0"))
    assert "hf_secret" not in (workspace / "queue.json").read_text(encoding="utf-8")

    studio.queue = studio.summaries._queue = Queue(workspace / "queue.json")
    studio.changed()
    assert list(given) == ["c"]
    held = next(run for run in client.get("/api/runs").json() if run["id"] == "saves/a")
    assert (held["status"], held["queue_position"], held["missing"]) == ("queued", 1, ["HF_TOKEN"])
    assert "entered again" in held["message"]
    assert client.post("/api/runs/saves/a/tokens", json={"tokens": {"PATH": "x"}}).status_code == 400
    assert client.post("/api/runs/saves/a/tokens", json={"tokens": {"HF_TOKEN": "hf_again"}}).status_code == 202
    assert client.post("/api/runs/saves/b/tokens", json={}).json()["missing"] == []
    studio.changed()
    assert given["a"] == {"CUDA_VISIBLE_DEVICES": "0", "HF_TOKEN": "hf_again", "MASTER_PORT": ""}
    assert given["b"] == {"CUDA_VISIBLE_DEVICES": "0", "MASTER_PORT": ""}
    assert not [path for path in workspace.rglob("*") if path.is_file() and b"hf_" in path.read_bytes()]


def test_a_process_that_ends_before_its_run_began_is_told_of(workspace: Path) -> None:
    Run.create(Path("a"), {}, "stage: sft\n")
    queue = Queue(workspace / "queue.json")
    queue.add(Job("a", "tunesmith", ["train", "no-such-file.yaml"], ["cpu"]))
    wait_for(lambda: queue.tick() and RunReader(Path("a")).state().status == "failed", "the early end")
    error = RunReader(Path("a")).state().error
    assert error is not None and "no-such-file.yaml" in error["message"]
    assert queue.place("a") is None


def test_a_damaged_queue_file_is_no_end(workspace: Path) -> None:
    path = workspace / "queue.json"
    path.write_text('{"waiting": [{"run": "a"}, 5], "started": ', encoding="utf-8")
    assert Queue(path).waiting() == []
    path.write_text(json.dumps({"waiting": [{"run": "a"}, 5, None], "started": [{"x": 1}]}), encoding="utf-8")
    assert Queue(path).waiting() == []


def test_a_deleted_run_is_passed_over(workspace: Path, started: dict[str, int]) -> None:
    queue = Queue(workspace / "queue.json")
    queue.add(waiting("a", "0"))
    queue.add(waiting("b", "0"))
    (workspace / "a" / "state.json").unlink()
    queue.tick()
    queue.tick()
    assert list(started) == ["b"]


def test_a_run_that_somebody_else_took_up_is_not_called_failed(workspace: Path) -> None:
    run = Run.create(Path("a"), {}, "stage: sft\n")
    queue = Queue(workspace / "queue.json")
    queue.add(Job("a", "tunesmith", ["train", "no-such-file.yaml"], ["cpu"]))
    run.begin_attempt()
    queue.tick()
    wait_for(lambda: queue.tick() or queue.place("a") is None, "the queue's own process to end")
    assert RunReader(Path("a")).state().status == "running"
    run.finish("finished")


def test_a_server_that_is_killed_while_it_starts_a_job_does_not_start_it_twice(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(queue_module, "start_detached", killed)
    queue = Queue(workspace / "queue.json")
    queue.add(waiting("a", "0"))
    with pytest.raises(KeyboardInterrupt):
        queue.tick()
    assert Queue(workspace / "queue.json").waiting() == []


def test_one_run_has_one_process(workspace: Path, started: dict[str, int]) -> None:
    queue = Queue(workspace / "queue.json")
    queue.add(waiting("a", "0"))
    queue.tick()
    with pytest.raises(Clash):
        queue.add(Job("a", "tunesmith", ["version"], []))
    assert queue.waiting() == []


def test_a_second_resume_is_refused_and_stop_reaches_the_first(
    client: TestClient, studio: Studio, workspace: Path, started: dict[str, int]
) -> None:
    run = Run.create(Path("saves/a"), {}, "stage: sft\n")
    studio.queue.add(Job("saves/a", "tunesmith", ["version"], ["cpu"]))
    studio.changed()
    assert "saves/a" in started
    assert client.post("/api/runs/saves/a/resume").status_code == 409
    assert client.post("/api/runs/.%2Fsaves%2Fa/stop").status_code == 202
    assert run.layout.stop.is_file()
    assert client.delete("/api/runs/.%2Fsaves%2Fa").status_code == 409


def test_a_run_that_dies_while_it_prepares_is_listed_as_killed(
    client: TestClient, studio: Studio, workspace: Path
) -> None:
    run = Run.create(Path("saves/a"), {}, "stage: sft\n")
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    run.update(pid=program.pid, born=birth(program.pid), host=socket.gethostname())
    studio.changed()
    assert [one["status"] for one in client.get("/api/runs").json()] == ["starting"]
    program.kill()
    program.wait()
    assert [one["status"] for one in client.get("/api/runs").json()] == ["killed"]


def test_a_folder_that_vanishes_under_its_run_holds_up_nobody(studio: Studio, workspace: Path) -> None:
    run = Run.create(Path("saves/a"), {}, "stage: sft\n")
    run.begin_attempt()
    assert [one.id for one in studio.look().runs] == ["saves/a"]
    shutil.rmtree(run.path)
    assert studio._at_work() == []


@pytest.mark.parametrize(
    ("kind", "asked", "held_up"),
    [
        ("data make", "model: gpt\nbase_url: http://localhost:1/v1\n", False),
        ("data make", "model: data\n", True),  # a folder of this machine
        ("train", "stage: sft\n", True),
    ],
)
def test_only_what_may_hold_a_device_is_waited_for(
    studio: Studio, workspace: Path, started: dict[str, int], kind: str, asked: str, held_up: bool
) -> None:  # fmt: skip
    run = Run.create(Path("saves/other"), asked, asked, kind=kind)
    run.begin_attempt()
    studio.look()
    studio.queue.add(waiting("saves/a", "0"))
    studio.queue.tick()
    assert ("saves/a" not in started) == held_up


def test_authoring_with_a_model_of_this_machine_waits_its_turn(
    client: TestClient, studio: Studio, workspace: Path, started: dict[str, int]
) -> None:
    (workspace / "book.txt").write_text("A long story.", encoding="utf-8")
    (workspace / "models" / "mine").mkdir(parents=True)
    studio.queue.add(waiting("saves/a", "cpu"))
    studio.changed()
    asked = {"sources": ["book.txt"], "options": {"out": "facts", "model": "models/mine"}}
    begun = client.post("/api/authoring/make", json=asked)
    assert begun.json() == {"id": "saves/data/facts"}
    (listed,) = [run for run in client.get("/api/runs").json() if run["id"] == "saves/data/facts"]
    assert (listed["status"], listed["queue_position"], listed["kind"]) == ("queued", 1, "data make")
    client.post("/api/runs/saves/data/facts/stop")
    assert client.post("/api/runs/saves/data/facts/resume").status_code == 202
    assert studio.queue.waiting() == ["saves/data/facts"]
    del started["saves/a"]
    studio.changed()
    assert "saves/data/facts" in started


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (
            "state.json",
            '{"created": "x", "status": "paused", "step": "a", "pid": "b", "kind": 5, "error": {"message": 5}}',
        ),
        ("tags.json", '{"tags": 5}'),
        ("resolved.yaml", "model_name_or_path: \xff"),
    ],
)
def test_a_run_whose_record_is_damaged_hides_no_other(
    client: TestClient, studio: Studio, workspace: Path, name: str, damage: str
) -> None:
    for run in ("saves/a", "saves/b"):
        Run.create(Path(run), {}, "stage: sft\n").finish("finished")
    (workspace / "saves/a" / name).write_text(damage, encoding="latin-1")
    studio.changed()
    assert {run["id"] for run in client.get("/api/runs").json()} == {"saves/a", "saves/b"}
    assert client.get("/api/runs/saves/a").status_code == 200


def test_a_device_that_there_is_not_leaves_no_run_behind(client: TestClient, tiny_model: str, workspace: Path) -> None:
    asked = settings_for(tiny_model, use_cpu=False, output_dir="saves/a")
    refused = client.post("/api/runs", json={"settings": asked, "devices": ["99"]})
    assert refused.status_code == 400 and refused.json()["field"] == "devices"
    assert not (workspace / "saves").exists()


def test_a_run_that_is_killed_before_it_begins_is_stopped_and_not_failed(
    client: TestClient, studio: Studio, workspace: Path, started: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "_kill_tree", lambda pid: started.clear())
    studio.queue.add(waiting("saves/a", "cpu"))
    studio.changed()
    ended = client.post("/api/runs/saves/a/kill").json()
    assert (ended["status"], ended["message"]) == ("stopped", "Ended before it began.")


def test_a_run_that_is_killed_before_its_first_checkpoint_is_told_that_nothing_of_it_is_kept(
    client: TestClient, studio: Studio, workspace: Path
) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        run = Run.create(Path("saves/a"), {}, "stage: sft\n")
        run.begin_attempt()
        run.update(status="running", pid=process.pid, born=birth(process.pid))
        ended = client.post("/api/runs/saves/a/kill").json()
    told = "Ended at once, before the first checkpoint; its steps are lost."
    assert (ended["status"], ended["message"]) == ("killed", told)
