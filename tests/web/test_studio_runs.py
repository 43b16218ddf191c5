"""The list of runs: its order, what each is about, and what deleting one takes away."""

import os
import socket
from pathlib import Path

from starlette.testclient import TestClient

from tunesmith.runs.processes import birth
from tunesmith.runs.run import Run
from tunesmith.web.queue import Job
from tunesmith.web.sessions import Session
from tunesmith.web.studio import Studio


def test_what_is_at_work_comes_first_then_the_queue_then_the_newest(client: TestClient, studio: Studio) -> None:
    for name, created in (("works", 1.0), ("second", 2.0), ("first", 3.0), ("older", 4.0), ("newer", 5.0)):
        run = Run.create(Path("saves") / name, {}, f"seed: {created}\n")
        run.update(created=created)
        if name == "works":
            run.begin_attempt()
            run.update(pid=os.getpid(), born=birth(os.getpid()), host=socket.gethostname())
        elif name in ("older", "newer"):
            run.begin_attempt()
            run.finish("finished")
    studio.changed()  # what works is known before the others ask for its device
    for name in ("first", "second"):
        studio.queue.add(Job(f"saves/{name}", "tunesmith", ["version"], ["cpu"]))
    studio.changed()
    assert [run["name"] for run in client.get("/api/runs").json()] == ["works", "first", "second", "newer", "older"]


def test_an_evaluation_an_export_and_a_comparison_say_of_what_they_are(client: TestClient, studio: Studio) -> None:
    of = {"model_name_or_path": "models/tiny", "adapter_name_or_path": ["saves/mine"]}
    Run.create(Path("saves/e"), of, of, kind="eval").finish("finished")
    Run.create(Path("saves/x"), of, of, kind="export").finish("finished")
    Run.create(Path("saves/v"), {}, {"place": "exports/mine"}, kind="verify").finish("finished")
    Run.create(Path("saves/t"), of, of).finish("finished")
    studio.changed()
    listed = {run["name"]: (run["of"], run["model"]) for run in client.get("/api/runs").json()}
    assert listed == {
        "e": ("saves/mine", "models/tiny"), "x": ("saves/mine", "models/tiny"), "v": ("exports/mine", ""),
        "t": ("", "models/tiny"),
    }  # fmt: skip


def test_what_goes_with_a_run_is_told_and_the_rest_stays(client: TestClient, workspace: Path) -> None:
    Path("exports/mine").mkdir(parents=True)
    run = Run.create(Path("saves/x"), {}, {"export_dir": "exports/mine"}, kind="export")
    run.finish("finished")
    mine = ["decisions.md", "notes.md", "report.pdf"]  # two of them are called nearly as what authoring keeps
    for name in mine:
        (run.layout.root / name).write_text("mine", encoding="utf-8")
    told = client.get("/api/runs/saves/x/deletion").json()
    assert (told["exported"], told["others"], told["checkpoints"]) == ("exports/mine", mine, 0)
    before = sum(path.stat().st_size for path in run.layout.root.rglob("*") if path.is_file())
    assert told["bytes"] == before - len("mine") * len(mine)
    assert client.delete("/api/runs/saves/x").status_code == 204
    assert sorted(path.name for path in run.layout.root.iterdir()) == mine and Path("exports/mine").is_dir()


def test_whoever_uses_a_run_is_told_before_it_is_deleted(client: TestClient, studio: Studio) -> None:
    for name in ("mine", "other"):
        Run.create(Path("saves") / name, {}, {}).finish("finished")
    Run.create(Path("saves/x"), {}, {"adapter_name_or_path": ["saves/mine"]}, kind="export").finish("finished")
    Run.create(Path("saves/y"), {}, {"model_name_or_path": "~nobody9/x"}, kind="export").finish("finished")
    studio.sessions._sessions["a"] = Session(session="a", model="saves/mine/checkpoint-2")
    studio.changed()
    found = {name: client.get(f"/api/runs/saves/{name}/deletion").json() for name in ("mine", "other")}
    assert {name: (told["loaded"], told["exports"]) for name, told in found.items()} == {
        "mine": (True, ["saves/x"]), "other": (False, []),
    }  # fmt: skip


def test_a_folder_that_another_tab_writes_to_is_refused_by_the_name_of_its_run(
    client: TestClient, studio: Studio, tiny_model: str
) -> None:
    def first(settings: dict[str, object], verb: str) -> dict[str, object]:
        asked = {"verb": verb, "settings": {"model_name_or_path": tiny_model, **settings}}
        problem: dict[str, object] = client.post("/api/config/check", json=asked).json()["problems"][0]
        assert str(problem["run"]) in str(problem["message"])
        return problem

    Run.create(Path("saves/export/a_1"), {}, {"export_dir": "exports/a"}, kind="export")
    studio.changed()
    export = {"export_dir": "./exports/a", "export_to": "gguf"}
    told = first(export, "export")
    assert (told["run"], told["offer"]) == ("saves/export/a_1", {"export_dir": "exports/a_2"})
    asked = {"verb": "export", "settings": {"model_name_or_path": tiny_model, **export}}
    assert client.post("/api/runs", json=asked).status_code == 409
    earlier = Run.create(Path("saves/export/a_0"), {}, {"export_dir": "exports/a"}, kind="export")
    earlier.add_environment(arguments=["export"])
    earlier.begin_attempt()
    earlier.finish("failed")
    assert client.post("/api/runs/saves/export/a_0/resume", json={}).status_code == 409
    Run.create(Path("saves/long"), {}, {}).begin_attempt()
    train = {"dataset": "numbers", "output_dir": "saves/long", "template": "qwen"}
    told = first(train, "train")
    assert (told["run"], told["offer"]) == ("saves/long", {"output_dir": "saves/long_2"})
    asked = {"verb": "train", "settings": {"model_name_or_path": tiny_model, **train}}
    refused = client.post("/api/runs", json=asked)
    assert refused.status_code == 409 and refused.json()["message"].startswith("saves/long is at work")


def test_a_data_set_and_answers_that_were_paid_for_stay(client: TestClient, workspace: Path) -> None:
    for out in ("numbers", "never"):
        run = Run.create(Path("saves/data") / out, {}, {"out": out, "dataset_dir": "data"}, kind="data make")
        run.layout.journal.write_bytes(b"answers")
        run.layout.journal.with_name(f"{run.layout.journal.name}-wal").touch()  # of a job that was killed
        run.finish("stopped")
    told = client.get("/api/runs/saves/data/numbers/deletion").json()
    assert (told["dataset"], told["answers"], told["others"]) == ("numbers", True, [])
    assert client.get("/api/runs/saves/data/never/deletion").json()["dataset"] == ""
    assert client.delete("/api/runs/saves/data/numbers").status_code == 204
    assert run.layout.journal.is_file() and Path("saves/data/numbers/journal.sqlite").is_file()
