"""Folders of many files, and values that few files hold, become a data set as all others do."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path

import pytest
from tests.authoring.library import converted

from tunesmith.authoring.convert import ConvertOptions, convert, plan
from tunesmith.authoring.document import shown_path


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))


def test_more_files_than_may_be_open_at_once(tmp_path: Path) -> None:
    import resource

    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        body = f"Q{number}?,A{number}.\n" * 100  # more than are looked at
        (folder / f"{number}.csv").write_text(f"question,answer\n{body}", encoding="utf-8")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 40, hard))
    try:
        rows, _ = converted(folder, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len({row["output"] for row in rows}) == 60


def test_times_and_half_characters_fit_into_every_kind_of_file(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    when = datetime.datetime(2026, 1, 2, 3, 4)
    row = {"instruction": "When?", "output": "Then.", "when": when, "cost": Decimal("1.50"), "raw": b"abc"}
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "a.parquet")
    rows, _ = converted(tmp_path / "a.parquet", tmp_path)
    assert (rows[0]["when"], rows[0]["cost"], rows[0]["raw"]) == ("2026-01-02T03:04:00", "1.50", "abc")
    (tmp_path / "half.json").write_text('[{"instruction": "\\ud83d?", "output": "Yes \\ud83d"}]', encoding="utf-8")
    asked = ConvertOptions(out="half", dataset_dir=str(tmp_path / "data"), file_type="parquet")
    done = convert(plan([str(tmp_path / "half.json")], asked), asked)
    assert parquet.read_table(done.published.path).to_pylist()[0]["output"] == "Yes \ufffd"


def test_an_object_called_mapping_is_no_chat(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "a.json").write_text('{"mapping": {"a": "b"}, "instruction": "Q?", "output": "A."}', encoding="utf-8")
    (folder / "b.json").write_text('[{"instruction": "P?", "output": "B."}]', encoding="utf-8")
    rows, _ = converted(folder, tmp_path)
    assert [row["output"] for row in rows] == ["A.", "B."]


def test_documents_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "doc.md").write_text(f"# {name}\n\nText of {name}.", encoding="utf-8")
    asked = ConvertOptions(out="both", dataset_dir=str(tmp_path / "data"))
    names = [str(tmp_path / name / "doc.md") for name in ("a", "b")]
    done = convert(plan(names, asked), asked)
    rows = [json.loads(line) for line in done.published.path.read_text(encoding="utf-8").splitlines()]
    assert [row["source"] for row in rows] == ["a/doc.md", "b/doc.md"]
    folder = tmp_path / "a"
    assert shown_path(folder / "doc.md", [folder, tmp_path / "x" / "b"]) == Path("a/doc.md")
    assert shown_path(folder / "doc.md", [folder, tmp_path / "x" / "a"]) == Path(tmp_path.name, "a/doc.md")
