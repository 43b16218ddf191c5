"""Foreign pages, foreign hosts and paths that lead elsewhere are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tunesmith.errors import UserError
from tunesmith.runs.run import Run
from tunesmith.web.app import create_app
from tunesmith.web.guard import Door, check_token, make_token
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import Workspace


def guarded(studio: Studio, door: Door) -> TestClient:
    return TestClient(create_app(studio, door), base_url="http://localhost", follow_redirects=False)


def test_a_host_that_is_not_ours_is_refused(studio: Studio) -> None:
    client = guarded(studio, Door(None))
    assert client.get("/api/about").status_code == 200
    assert client.get("/api/about", headers={"host": "evil.example"}).status_code == 403
    assert client.get("/api/about", headers={"host": "127.0.0.1:7860"}).status_code == 200
    assert client.get("/api/about", headers={"host": "[::1]:7860"}).status_code == 200
    assert client.get("/api/about", headers={"host": "192.168.1.5"}).status_code == 403
    assert guarded(studio, Door(None, addresses=True)).get("/", headers={"host": "10.0.0.2:1"}).status_code != 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_what_another_page_sends_changes_nothing(studio: Studio, headers: dict[str, str]) -> None:
    client = guarded(studio, Door(None))
    assert client.post("/api/queue/order", json={"ids": []}, headers=headers).status_code == 403
    own = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
    assert client.post("/api/queue/order", json={"ids": []}, headers=own).status_code == 200


def test_a_foreign_page_cannot_read_by_embedding(studio: Studio) -> None:
    client = guarded(studio, Door(None))
    assert (
        client.get("/api/runs", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}).status_code
        == 403
    )


def test_the_token_is_kept_for_its_owner_and_stays_the_same(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = make_token(path)
    assert make_token(path) == token and path.stat().st_mode & 0o077 == 0
    with pytest.raises(UserError, match="8 characters"):
        check_token("short")


def test_a_token_in_the_address_does_not_lead_to_another_host(studio: Studio) -> None:
    client = guarded(studio, Door("a-very-long-token"))
    answer = client.get("http://localhost//evil.example/?token=a-very-long-token")
    assert answer.headers["location"] == "/evil.example/"
    kept = client.get("/runs/%E4%BD%A0?x=1&token=a-very-long-token").headers["location"]
    assert kept == "/runs/%E4%BD%A0?x=1"


@pytest.mark.parametrize("name", ["../outside", "..%2Foutside", "%2Fetc", "saves/../../outside", "link"])
def test_no_path_leaves_the_workspace(
    client: TestClient, workspace: Path, name: str, link: Callable[[Path, Path], None]
) -> None:
    outside = workspace.parent / "outside"
    Run.create(outside, {"stage": "sft"}, "stage: sft\n")
    link(workspace / "link", outside)
    for address in (f"/api/runs/{name}/log", f"/api/runs/{name}/files/state.json"):
        answer = client.get(address)
        assert answer.status_code in (400, 404), address
        assert "stage" not in answer.text
    assert client.delete(f"/api/runs/{name}").status_code in (400, 404, 405)
    assert (outside / "state.json").exists()


def test_files_beside_a_run_are_not_its_files(client: TestClient, workspace: Path) -> None:
    Run.create(workspace / "saves" / "a", {}, "stage: sft\n")
    (workspace / "secret.txt").write_text("secret", encoding="utf-8")
    assert client.get("/api/runs/saves/a/files/resolved.yaml").text == "stage: sft\n"
    assert client.get("/api/runs/saves/a/files/..%2F..%2Fsecret.txt").status_code == 404


@pytest.mark.parametrize(
    "settings",
    [
        {"output_dir": "/somewhere/else"},
        {"output_dir": "../else"},
        {"output_dir": "saves/a", "dataset": "/etc/passwd"},
        {"output_dir": "saves/a", "tokenized_path": "/somewhere"},
        {"output_dir": "saves/a", "dataset_dir": ".."},
    ],
)
def test_a_run_writes_and_reads_in_the_workspace(client: TestClient, settings: dict[str, str]) -> None:
    asked = {"model_name_or_path": "some/model", "dataset": "numbers", **settings}
    answer = client.post("/api/runs", json={"settings": asked})
    assert answer.status_code == 400 and answer.json()["field"] in settings
    assert client.get("/api/runs").json() == []


def test_code_of_a_model_is_agreed_to_first(client: TestClient) -> None:
    settings = {"model_name_or_path": "some/model", "dataset": "numbers", "trust_remote_code": True}
    asked = client.post("/api/runs", json={"settings": settings})
    assert asked.status_code == 409
    assert asked.json()["field"] == "trust_remote_code" and "some/model" in asked.json()["message"]


def test_a_page_that_others_reach_reads_models_in_the_workspace_alone(workspace: Path) -> None:
    outside = workspace.parent / "outside"
    outside.mkdir()
    studio = Studio(Workspace(workspace.resolve()), exposed=True)
    there = {"model_name_or_path": str(outside)}
    with TestClient(create_app(studio), base_url="http://localhost") as client:
        for address, asked in (
            ("/api/chat/load", {"model": "some/model", "settings": there}),
            ("/api/datasets/numbers/mask", {"settings": there}),
            ("/api/datasets/numbers/look", {"settings": {"cache_dir": str(outside)}}),
            ("/api/estimate", {"settings": there}),
            ("/api/runs", {"settings": {**there, "dataset": "numbers"}}),
            (
                "/api/authoring/make/preview",
                {"sources": ["data"], "options": {"out": "x", "model": str(outside)}},
            ),
        ):
            answer = client.post(address, json=asked)
            assert answer.status_code == 400 and "outside the workspace" in answer.json()["message"], address


def test_an_origin_that_is_no_address_is_refused(studio: Studio) -> None:
    client = guarded(studio, Door(None))
    assert client.post("/api/config/check", json={"settings": {}}, headers={"origin": "http://["}).status_code == 403


def test_two_studios_of_one_host_keep_their_cookies_apart(studio: Studio) -> None:
    client = guarded(studio, Door("a-very-long-token"))
    answers = [client.get(f"http://localhost:{port}/?token=a-very-long-token") for port in (7860, 7861)]
    names = {answer.headers["set-cookie"].partition("=")[0] for answer in answers}
    assert len(names) == 2


def test_the_folder_of_a_user_that_there_is_not_is_no_path(studio: Studio) -> None:
    with pytest.raises(UserError, match="no path on this machine"):
        studio.workspace.inside("~nobody9/x")
