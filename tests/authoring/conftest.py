"""What tests of making data share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.authoring.library import KEY, PLANETS


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("BASE_URL", "API_KEY", "MODEL"):
        monkeypatch.delenv(f"OPENAI_{name}", raising=False)
        monkeypatch.delenv(f"TUNESMITH_{name}", raising=False)
    monkeypatch.setenv("TUNESMITH_API_KEY", KEY)
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "books"
    folder.mkdir()
    for name, fact in PLANETS.items():
        (folder / f"{name}.txt").write_text(f"The planet {name} {fact}.\n\n{name} is a planet.\n", encoding="utf-8")
    return tmp_path
