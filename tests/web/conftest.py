"""A workspace with a tiny model and data, and the studio over it: in this process, or a real server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.web.serving import Server

from tunesmith.web.app import create_app
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a data set of its own; the process stands in it, as the server does."""
    folder = tmp_path / "workspace"
    (folder / "data").mkdir(parents=True)
    rows = [{"instruction": f"What is {i}?", "output": f"It is {i}."} for i in range(40)]
    (folder / "data" / "numbers.json").write_text(json.dumps(rows), encoding="utf-8")
    info = {"numbers": {"file_name": "numbers.json"}}
    (folder / "data" / "dataset_info.json").write_text(json.dumps(info, indent=2), encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def link() -> Callable[[Path, Path], None]:
    """Makes the first path a link to the second; Windows allows it to some only."""

    def make(path: Path, to: Path) -> None:
        try:
            path.symlink_to(to)
        except OSError as error:
            pytest.skip(f"links can't be made here: {error}")

    return make


@pytest.fixture
def studio(workspace: Path) -> Studio:
    return Studio(Workspace(workspace.resolve()))


@pytest.fixture
def client(studio: Studio) -> Iterator[TestClient]:
    with TestClient(create_app(studio), base_url="http://localhost") as client:
        yield client


@pytest.fixture
def tiny_model(tiny_model_dir: Callable[..., Path], workspace: Path) -> str:
    """The tiny model under a name in the workspace."""
    shutil.copytree(tiny_model_dir("llama"), workspace / "models" / "tiny")
    return "models/tiny"


@pytest.fixture
def serve(workspace: Path) -> Iterator[Callable[..., Server]]:
    """`serve()` starts a server of the workspace; runs that are still at work are ended with the test."""
    servers: list[Server] = []

    def start(*arguments: str) -> Server:
        servers.append(Server(workspace, *arguments))
        return servers[-1]

    yield start
    if servers:
        last = servers[-1] if servers[-1].process.poll() is None else start()
        for run in last.http.get("/api/runs").json():
            if run["status"] in ("queued", "starting", "running", "stopping"):
                last.http.post(f"/api/runs/{run['id']}/stop")
                last.http.post(f"/api/runs/{run['id']}/kill")
    for server in servers:
        server.end()
