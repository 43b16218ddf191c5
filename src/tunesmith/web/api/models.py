"""What the workspace has that can be trained on, talked to or exported."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from tunesmith.runs.layout import is_run
from tunesmith.web.access import TheStudio, router_of
from tunesmith.web.studio import Studio

router = router_of("models")
_PLACES = ("models", "exports")
_DEPTH = 4
_MOST = 500


class ModelChoice(BaseModel):
    """path: relative to the workspace, or a hub id. base: the model that a run or adapter was made for."""

    path: str
    name: str
    kind: Literal["run", "checkpoint", "model", "gguf"]
    base: str | None = None


@router.get("/models")
def list_models(studio: TheStudio) -> list[ModelChoice]:
    """Runs with weights and their checkpoints, newest first; then models in folders, GGUF files, and what runs used."""
    found = {choice.path: choice for choice in (*_of_runs(studio), *_of_folders(studio), *_of_cache())}
    for summary in studio.look().runs:
        if summary.model and summary.model not in found:
            kind: Literal["gguf", "model"] = "gguf" if summary.model.endswith(".gguf") else "model"
            found[summary.model] = ModelChoice(path=summary.model, name=summary.model, kind=kind)
    return list(found.values())[:_MOST]


def _of_runs(studio: Studio) -> Iterator[ModelChoice]:
    for summary in studio.look().runs:
        if summary.kind != "train":
            continue
        layout = studio.workspace.run(summary.id).layout
        if not layout.holds_weights():
            continue
        base = summary.model or None
        yield ModelChoice(path=summary.id, name=summary.name, kind="run", base=base)
        for checkpoint in reversed(layout.checkpoints()[-20:]):
            place = studio.workspace.relative(checkpoint.path)
            name = f"{summary.name}, step {checkpoint.step}"
            yield ModelChoice(path=place, name=name, kind="checkpoint", base=base)


def _of_folders(studio: Studio) -> Iterator[ModelChoice]:
    root = studio.workspace.root
    for place in _PLACES:
        for folder, below, files in os.walk(root / place):
            path = Path(folder)
            if is_run(path) or len(path.relative_to(root).parts) > _DEPTH:
                below.clear()
            if "config.json" in files and any(name.endswith((".safetensors", ".bin")) for name in files):
                relative = studio.workspace.relative(path)
                yield ModelChoice(path=relative, name=path.name, kind="model")
            for name in sorted(files):
                if name.endswith(".gguf"):
                    yield ModelChoice(path=studio.workspace.relative(path / name), name=name, kind="gguf")


def _of_cache() -> Iterator[ModelChoice]:
    """Models that the hub's client has downloaded already."""
    from huggingface_hub.constants import HF_HUB_CACHE

    for folder in sorted(Path(HF_HUB_CACHE).glob("models--*")):
        configs = folder.glob("snapshots/*/config.json")
        if any(_is_language_model(config) for config in configs):
            name = folder.name.removeprefix("models--").replace("--", "/")
            yield ModelChoice(path=name, name=name, kind="model")


def _is_language_model(config: Path) -> bool:
    try:
        architectures = json.loads(config.read_text(encoding="utf-8")).get("architectures") or []
    except (OSError, ValueError):
        return False
    return any("CausalLM" in name or "ConditionalGeneration" in name for name in architectures)
