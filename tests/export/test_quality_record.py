"""quality.json beside exported files: what is known of each, and nothing of somebody else's."""

import json
from pathlib import Path
from typing import Any

from tunesmith.export.report import save_quality


def record(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "quality.json"
    path.write_text(json.dumps({"files": rows}), encoding="utf-8")
    return path


def test_what_was_written_anew_or_can_t_be_opened_keeps_no_earlier_verdict(tmp_path: Path) -> None:
    for name in ("good.gguf", "broken.gguf"):
        (tmp_path / name).touch()
    path = record(tmp_path, *({"file": name, "status": "pass"} for name in ("good.gguf", "broken.gguf", "gone.gguf")))
    save_quality([], tmp_path, written=[tmp_path / "broken.gguf"])
    assert [row["file"] for row in json.loads(path.read_text(encoding="utf-8"))["files"]] == ["good.gguf"]
    save_quality([], tmp_path, written=[tmp_path / "good.gguf"])
    assert not path.exists()


def test_a_record_that_others_wrote_is_left_alone(tmp_path: Path) -> None:
    path = record(tmp_path, {"path": "x.bin"})
    save_quality([], tmp_path, written=[tmp_path / "mine.gguf"])
    assert json.loads(path.read_text(encoding="utf-8")) == {"files": [{"path": "x.bin"}]}
