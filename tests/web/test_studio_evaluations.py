"""Evaluations in the studio: begun from a form, watched as runs, their answers read in pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.web.serving import Server, wait_for

from tunesmith.config.load import dump_yaml, load_job
from tunesmith.runs.run import Run
from tunesmith.web.app import create_app
from tunesmith.web.children import Child
from tunesmith.web.studio import Studio


def settings_for(model: str, **more: Any) -> dict[str, Any]:
    return {
        "model_name_or_path": model, "eval_dataset": ["numbers"], "max_samples": 4, "max_new_tokens": 6,
        "do_sample": False, "use_cpu": True, "output_dir": "saves/eval", **more,
    }  # fmt: skip


@pytest.fixture
def begun(client: TestClient, tiny_model: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An evaluation as it waits in the queue; no process is started."""
    monkeypatch.setattr("tunesmith.web.queue.Queue._start_due", lambda self: False)
    answer = client.post("/api/evaluations", json={"settings": settings_for(tiny_model)})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def test_it_runs_and_its_answers_are_there(serve: Callable[..., Server], tiny_model: str) -> None:
    server = serve()
    run = server.http.post("/api/evaluations", json={"settings": settings_for(tiny_model)}).json()["id"]
    wait_for(lambda: server.run(run)["status"] in ("finished", "failed"), "the evaluation")
    listed = server.run(run)
    assert (listed["status"], listed["kind"], listed["step"], listed["steps"]) == ("finished", "eval", 4, 4), listed
    told = server.http.get(f"/api/runs/{run}/evaluation").json()
    assert (told["rows"], told["answered"], told["failed"], told["predicts"]) == (4, 4, 0, True)
    metrics = {metric["name"]: metric for metric in told["metrics"]}
    assert {"loss", "perplexity", "accuracy", "bleu-4", "rouge-l", "exact_match"} <= metrics.keys()
    assert metrics["loss"]["lower_is_better"] and metrics["bleu-4"]["unit"] == "%"
    page = server.http.get(f"/api/runs/{run}/predictions", params={"offset": 1, "limit": 2}).json()
    assert page["total"] == 4 and [row["index"] for row in page["rows"]] == [1, 2]
    assert page["rows"][0]["label"] == "It is 1." and page["rows"][0]["messages"][-1]["role"] == "user"
    found = server.http.get(f"/api/runs/{run}/predictions", params={"search": "WHAT IS 3"}).json()
    assert [row["index"] for row in found["rows"]] == [3]


def test_scores_and_answers_of_one_that_is_at_work(client: TestClient, begun: str) -> None:
    run = Run.open(Path(begun))
    run.update(status="running", steps=3, step=2)
    rows = [
        {"prompt": "p", "predict": "x", "label": "y", "index": at, "scores": {"bleu-4": score}, "base": "b",
         "base_scores": {"bleu-4": 1.0}}
        for at, score in enumerate((80.0, 20.0))
    ]  # fmt: skip
    text = "".join(json.dumps(row) + "\n" for row in rows) + '{"prompt": "ha'
    run.layout.predictions.write_text(text, encoding="utf-8")
    told = client.get(f"/api/runs/{begun}/evaluation").json()
    assert told["rows"] == 3 and told["answered"] == 2
    assert told["metrics"] == [
        {"name": "bleu-4", "value": 50.0, "base": 1.0, "lower_is_better": False, "unit": "%"}
    ]  # fmt: skip
    worst = client.get(f"/api/runs/{begun}/predictions?sort=worst&limit=1").json()
    assert worst["total"] == 2 and worst["rows"][0]["index"] == 1 and worst["rows"][0]["base"] == "b"


def test_what_is_wrong_is_told_at_the_form(client: TestClient, tiny_model: str) -> None:
    def refused(**changed: Any) -> dict[str, Any]:
        answer = client.post("/api/evaluations", json={"settings": settings_for(tiny_model, **changed)})
        assert answer.status_code == 400, answer.text
        return answer.json()

    assert refused(eval_dataset=[])["field"] == "eval_dataset"
    assert refused(predict_base=True)["field"] == "predict_base"
    assert refused(output_dir="../elsewhere")["field"] == "output_dir"
    assert "no data set or file called 'numbres'" in refused(eval_dataset=["numbres"])["message"]
    assert client.get("/api/runs/saves/none/evaluation").status_code == 404


def test_the_form_means_what_the_command_means(client: TestClient) -> None:
    schema = client.get("/api/schema?verb=eval").json()["properties"]
    common = [name for name, field in schema.items() if field["x-common"]]
    assert common[:2] == ["model_name_or_path", "adapter_name_or_path"] and "predict_with_generate" in common
    assert "do_train" not in schema and "predict_base" not in client.get("/api/schema?verb=train").json()["properties"]
    asked = {"verb": "eval", "settings": {"model_name_or_path": "m", "eval_dataset": ["numbers"]}}
    checked = client.post("/api/config/check", json=asked).json()
    resolved = checked["resolved"]
    assert resolved["do_eval"] and resolved["predict_with_generate"] and resolved["do_train"] is False
    told = client.post("/api/config/command", json=asked).json()
    assert told["cli"] == "tunesmith eval model_name_or_path=m eval_dataset=numbers"


def test_the_rows_that_a_run_held_back_are_known_by_its_name(client: TestClient, workspace: Path) -> None:
    folder = workspace / "saves" / "trained"
    asked = {"model_name_or_path": "m", "dataset": ["numbers"], "val_size": 0.1, "seed": 7, "learning_rate": 1e-3}
    Run.create(folder, asked, dump_yaml(load_job([], {**asked, "max_samples": 30}, verb="train").job)).finish(
        "finished"
    )
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    told = client.post("/api/evaluations/source", json={"place": "saves/trained"}).json()["settings"]
    assert told == {
        "model_name_or_path": "m", "adapter_name_or_path": ["saves/trained"], "dataset": ["numbers"], "val_size": 0.1,
        "max_samples": 30, "data_seed": 7,
    }  # fmt: skip
    schema = client.get("/api/schema?verb=eval").json()["properties"]
    assert schema["predict_with_generate"]["default"] is True


def test_a_training_form_that_evaluates_still_trains(client: TestClient) -> None:
    settings = {"model_name_or_path": "m", "dataset": ["numbers"], "val_size": 4, "do_eval": True}
    asked = {"verb": "train", "settings": settings}
    told = client.post("/api/config/command", json=asked).json()
    assert "do_train=true" in told["cli"] and "do_train: true" in told["yaml"]
    assert client.post("/api/config/check", json=asked).json()["resolved"]["do_train"] is True


def test_a_damaged_record_is_told_and_a_mistake_of_our_own_is_none_of_it(
    studio: Studio, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = TestClient(create_app(studio), base_url="http://localhost", raise_server_exceptions=False)
    run = Run.create(Path("saves/a"), {}, "stage: sft\n", kind="eval")
    run.layout.predictions.write_text('{"index": 0, "prompt": 5}\n', encoding="utf-8")
    run.layout.results("eval").write_text('{"eval_loss": "low"}', encoding="utf-8")
    for subject in ("predictions", "evaluation"):
        told = client.get(f"/api/runs/saves/a/{subject}")
        assert told.status_code == 409 and "damaged" in told.json()["message"], told.text
    monkeypatch.setattr(Child, "ask", lambda *_, **__: {"rows": 5})
    assert client.post("/api/datasets/numbers/rows", json={}).status_code == 500
