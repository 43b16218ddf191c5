"""A data set is in place as a whole: its file, and its entry in a dataset_info.json that is otherwise untouched."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tunesmith.authoring.catalog_file import CatalogFile, edited
from tunesmith.authoring.publish import Published, publish
from tunesmith.data.catalog import resolve
from tunesmith.data.check import check_dataset
from tunesmith.errors import UserError

ODD = (
    '{\r\n\t"zeta": {"file_name": "z.json",   "foreign_key": [1, 2]},\r\n'
    '\t"alpha" : {\r\n\t\t"hf_hub_url": "a/b"\r\n\t}\r\n}\r\n'
)
ROWS = [{"instruction": "Hi?", "input": "", "output": "Hello."}, {"instruction": "你？", "input": "", "output": "我。"}]


def test_an_entry_is_added_and_nothing_else_changes(tmp_path: Path) -> None:
    info = tmp_path / "dataset_info.json"
    info.write_bytes(ODD.encode())
    publish(ROWS, "mine", tmp_path, "alpaca")
    text = info.read_bytes().decode()
    assert text.startswith(ODD.removesuffix("\r\n}\r\n"))
    assert text.endswith("\r\n\t}\r\n}\r\n")
    assert list(json.loads(text)) == ["zeta", "alpha", "mine"]
    assert '\r\n\t"mine": {\r\n\t\t"file_name": "mine.jsonl",' in text


def test_renaming_replacing_and_removing_touch_one_entry(tmp_path: Path) -> None:
    file = CatalogFile(tmp_path / "dataset_info.json", ODD)
    file.rename("zeta", "中文")
    assert file.text == ODD.replace('"zeta"', '"中文"')
    file.put("alpha", {"file_name": "a.jsonl"})
    assert '"foreign_key": [1, 2]},\r\n\t"alpha" : {\r\n\t\t"file_name": "a.jsonl"\r\n\t}\r\n}\r\n' in file.text
    file.remove("中文")
    assert file.entries == {"alpha": {"file_name": "a.jsonl"}}
    file.remove("alpha")
    assert file.entries == {}
    file.put("new", {"file_name": "n.json"})
    assert file.entries == {"new": {"file_name": "n.json"}}


@pytest.mark.parametrize("text", ["", "{}", "{\n}\n", '\ufeff{"a": {}}', '{"a": {}, "b": {"x": "}"}}', "\n\n"])
def test_files_of_any_shape_take_an_entry(tmp_path: Path, text: str) -> None:
    file = CatalogFile(tmp_path / "dataset_info.json", text)
    before = dict(file.entries)
    file.put("new", {"file_name": "n.json", "columns": {"prompt": "q"}})
    assert file.entries == {**before, "new": {"file_name": "n.json", "columns": {"prompt": "q"}}}
    assert file.text.startswith("\ufeff") == text.startswith("\ufeff")


def test_a_damaged_file_is_left_alone(tmp_path: Path) -> None:
    info = tmp_path / "dataset_info.json"
    info.write_text('{"a": {},}', encoding="utf-8")
    with pytest.raises(UserError, match="damaged at line 1"):
        publish(ROWS, "mine", tmp_path, "alpaca")
    assert info.read_text(encoding="utf-8") == '{"a": {},}'
    assert [path.name for path in tmp_path.iterdir()] == ["dataset_info.json"]


def usable(published: Published, stage: Any = "sft") -> int:
    """Rows that can be trained on, by name."""
    (entry,) = resolve(published.name, published.info.parent)
    report = check_dataset(entry, stage=stage, cache_dir=published.path.parent / "cache", placeholders={})
    assert report.rows == published.rows
    return report.usable


@pytest.mark.parametrize("file_type", ["jsonl", "json", "parquet"])
def test_rows_of_each_format_and_file_are_read_back(tmp_path: Path, file_type: Any) -> None:
    extra = {"source": "a.pdf", "page": 3}
    alpaca = [{**row, **extra} for row in ROWS] + [{**ROWS[0], "system": "Be kind.", "history": [["a", "b"]]}]
    call = {"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    openai = [
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "content": "1"},
                {"role": "assistant", "content": "b"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        },
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    ]
    sharegpt = [{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "system": "s"}]
    for name, rows in (("alpaca", alpaca), ("openai", openai), ("sharegpt", sharegpt)):
        published = publish(rows, f"d_{name}", tmp_path, name, file_type)  # type: ignore[arg-type]
        assert usable(published) == len(rows)
    published = publish([{"text": "Once."}, {"text": "Twice."}], "d_text", tmp_path, "text", file_type)
    assert usable(published, "pt") == 2
    assert list(json.loads((tmp_path / "dataset_info.json").read_text(encoding="utf-8"))) == [
        "d_alpaca", "d_openai", "d_sharegpt", "d_text",
    ]  # fmt: skip


def test_extra_columns_are_kept_in_parquet(tmp_path: Path) -> None:
    from pyarrow import parquet

    rows = [*ROWS, {**ROWS[0], "source": {"file": "a.pdf"}, "score": 1}, {**ROWS[0], "score": 2.5}]
    published = publish(rows, "mine", tmp_path, "alpaca", "parquet")
    table = parquet.read_table(published.path).to_pylist()
    assert [row["score"] for row in table] == [None, None, 1.0, 2.5]
    assert json.loads(table[2]["source"]) == {"file": "a.pdf"}


def test_a_name_that_is_taken_or_impossible(tmp_path: Path) -> None:
    publish(ROWS, "mine", tmp_path, "alpaca")
    with pytest.raises(UserError, match="--replace"):
        publish(ROWS, "mine", tmp_path, "alpaca", "json")
    assert not (tmp_path / "mine.json").exists()
    publish(ROWS[:1], "mine", tmp_path, "alpaca", replace=True)
    assert len((tmp_path / "mine.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    for name in ("a,b", "../a", "a/b", "", " a", ".a", "a\nb", "ONLINE"):
        with pytest.raises(UserError, match="can't be called"):
            publish(ROWS, name, tmp_path, "alpaca")


def test_what_is_replaced_by_another_kind_of_file_is_told(tmp_path: Path) -> None:
    publish(ROWS, "mine", tmp_path, "alpaca")
    assert publish(ROWS, "mine", tmp_path, "alpaca", replace=True).left is None
    replaced = publish(ROWS, "mine", tmp_path, "alpaca", "json", replace=True)
    assert replaced.left == tmp_path / "mine.jsonl" and replaced.left.exists()
    info = json.loads((tmp_path / "dataset_info.json").read_text(encoding="utf-8"))
    assert info["mine"]["file_name"] == "mine.json"


def test_what_a_killed_process_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    theirs = [f".mine.jsonl.{os.getppid()}.part", f".mine.json.{ended.pid}.part", ".mine.jsonl.part"]
    for name in (f".mine.jsonl.{ended.pid}.part", f".mine.jsonl.{ended.pid}.part.rows", *theirs):
        (tmp_path / name).write_text("half", encoding="utf-8")
    publish(ROWS, "mine", tmp_path, "alpaca")
    assert {path.name for path in tmp_path.iterdir()} == {"mine.jsonl", "dataset_info.json", *theirs}


def test_rows_that_fail_on_the_way_leave_nothing(tmp_path: Path) -> None:
    def failing() -> Any:
        yield ROWS[0]
        raise UserError("The source broke off.")

    for rows in (failing(), iter(())):
        with pytest.raises(UserError):
            publish(rows, "mine", tmp_path, "alpaca")
    assert list(tmp_path.iterdir()) == []


def _add(folder: str, number: int) -> None:
    with edited(folder) as catalog:
        catalog.put(f"d{number}", {"file_name": f"{number}.json"})


def test_two_processes_do_not_lose_each_others_entries(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    workers = [spawn.Process(target=_add, args=(str(tmp_path), number)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    info = json.loads((tmp_path / "dataset_info.json").read_text(encoding="utf-8"))
    assert sorted(info) == [f"d{number}" for number in range(8)]


def test_where_the_list_can_t_be_written_nothing_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(ROWS[:1], "mine", tmp_path, "alpaca")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tunesmith.authoring.catalog_file.replace_text", full)
    for name, replace in (("mine", True), ("new", False)):
        with pytest.raises(UserError, match="No space left"):
            publish([{**ROWS[0], "system": "Be kind."}], name, tmp_path, "alpaca", replace=replace)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_entries_that_are_none_are_left_alone(tmp_path: Path) -> None:
    info = tmp_path / "dataset_info.json"
    info.write_text('{"_comment": "mine", "mine": 3}', encoding="utf-8")
    publish(ROWS, "new", tmp_path, "alpaca")
    assert publish(ROWS, "mine", tmp_path, "alpaca", replace=True).left is None
    assert json.loads(info.read_text(encoding="utf-8"))["_comment"] == "mine"


def test_a_name_that_stands_there_twice_is_told(tmp_path: Path) -> None:
    text = '{"a": {"file_name": "1.json"},\n "b": {},\n "a": {"file_name": "2.json"}}'
    (tmp_path / "dataset_info.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="names the data set 'a' twice, in lines 1 and 3"):
        publish(ROWS, "a", tmp_path, "alpaca", replace=True)
    assert (tmp_path / "dataset_info.json").read_text(encoding="utf-8") == text
