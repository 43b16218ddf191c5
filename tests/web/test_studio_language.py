"""The studio answers in the language of each request; what stands on disk is English."""

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tunesmith.errors import UserError
from tunesmith.i18n import languages
from tunesmith.runs.run import Run
from tunesmith.web.app import create_app
from tunesmith.web.guard import Door
from tunesmith.web.studio import Studio

TAIWAN = {"accept-language": "zh-TW,zh;q=0.9,en;q=0.8"}


def test_a_refusal_is_told_in_the_language_of_its_request(client: TestClient) -> None:
    asked = {"settings": {"model_name_or_path": "m/x", "dataset": "numbers", "val_size": 0.1, "lora_rank": 0}}
    (problem,) = client.post("/api/config/check", json=asked, headers=TAIWAN).json()["problems"]
    assert problem["message"] == "lora_rank 是 0，應為 整數 ≥ 1。" and problem["field"] == "lora_rank"
    (problem,) = client.post("/api/config/check", json=asked).json()["problems"]
    assert problem["message"] == "lora_rank is 0, expected a whole number ≥ 1."
    told = client.get("/api/runs/saves/other", headers={"accept-language": "zh-CN"}).json()
    assert told["message"] == client.get("/api/runs/saves/other?language=zh-CN").json()["message"] != ""
    assert client.get("/api/no-such", headers=TAIWAN).json()["message"] == "工作室沒有 /api/no-such。"
    malformed = client.get("/api/compare?runs=a&points=1", headers=TAIWAN).json()
    assert malformed["message"] == "points: 應大於或等於 10"


def test_the_guard_speaks_too(studio: Studio) -> None:
    with TestClient(create_app(studio, Door("x" * 20)), base_url="http://localhost") as client:
        assert client.get("/api/runs", headers=TAIWAN).json()["message"] == "這個工作室需要權杖。"


def test_an_ended_run_is_english_on_disk_and_translated_in_the_list(
    client: TestClient, studio: Studio, workspace: Path
) -> None:
    path = workspace / "saves" / "mine"
    run = Run.create(path, "stage: sft\n", "stage: sft\n", kind="train")
    run.begin_attempt()
    run.finish("failed", UserError("The memory is not enough for this run."))
    studio.changed()
    (summary,) = client.get("/api/runs", headers=TAIWAN).json()
    assert summary["message"] == "記憶體不夠這個任務使用。"
    assert "remedies" in client.get("/api/runs/saves/mine", headers=TAIWAN).json()
    heard = client.get("/api/poll?language=zh-TW").json()
    assert heard["events"][0]["data"]["runs"][0]["message"] == "記憶體不夠這個任務使用。"
    assert client.get(f"/api/poll?cursor={heard['cursor']}").json()["events"] == []  # the same list in any language
    (summary,) = client.get("/api/runs").json()
    assert summary["message"] == "The memory is not enough for this run."
    assert json.loads((path / "state.json").read_text(encoding="utf-8"))["error"]["message"] == summary["message"]


@pytest.mark.parametrize("language", languages())
def test_every_help_of_a_form_is_told_in_every_language(client: TestClient, language: str) -> None:
    spoken = {"accept-language": language}
    for verb in ("train", "eval", "export", "chat"):
        english, told = (
            client.get(f"/api/schema?verb={verb}", headers=one).json()["properties"] for one in ({}, spoken)
        )
        assert [name for name in english if told[name]["description"] == english[name]["description"]] == []
    for verb in ("make", "roles", "convert"):
        english, told = (client.get(f"/api/authoring/options?verb={verb}", headers=one).json() for one in ({}, spoken))
        assert [a["name"] for a, b in zip(english, told, strict=True) if a["help"] == b["help"]] == []
