"""What the page offers to train on, talk to and export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tunesmith.runs.run import Run
from tunesmith.web.studio import Studio


def test_runs_with_weights_folders_and_files_are_offered(
    client: TestClient, studio: Studio, workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub" / "models--Qwen--Qwen3-0.6B" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps({"architectures": ["Qwen3ForCausalLM"]}), encoding="utf-8")
    for name in ("trained", "empty"):
        Run.create(workspace / "saves" / name, {}, {"model_name_or_path": "Qwen/Qwen3-0.6B"}).finish("stopped")
    (workspace / "saves" / "trained" / "adapter_model.safetensors").touch()
    folder = workspace / "models" / "own"
    folder.mkdir(parents=True)
    (folder / "config.json").touch()
    (folder / "model.safetensors").touch()
    (workspace / "exports" / "one").mkdir(parents=True)
    (workspace / "exports" / "one" / "one-q8_0.gguf").touch()
    studio.changed()
    offered = {choice["path"]: (choice["kind"], choice["base"]) for choice in client.get("/api/models").json()}
    assert offered == {
        "saves/trained": ("run", "Qwen/Qwen3-0.6B"),
        "models/own": ("model", None),
        "exports/one/one-q8_0.gguf": ("gguf", None),
        "Qwen/Qwen3-0.6B": ("model", None),
    }
