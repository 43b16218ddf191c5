"""Keeping house with data sets: add, list, rename, remove, split, merge, push."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.authoring import documents
from tests.hub_double import TOKEN, HubDouble

import tunesmith
from tunesmith.cli.main import main
from tunesmith.data.catalog import resolve
from tunesmith.data.check import check_dataset
from tunesmith.data.editing import revision
from tunesmith.jobs.changes import clean

ALPACA = [{"instruction": f"Question {n}?", "input": "", "output": f"Answer {n}."} for n in range(20)]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for data sets, in a place of its own."""
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def written(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def info(data: Path) -> dict[str, Any]:
    return json.loads((data / "dataset_info.json").read_text(encoding="utf-8"))


def rows_of(data: Path, name: str) -> list[dict[str, Any]]:
    (entry,) = resolve(name, data)
    return [json.loads(line) for line in Path(entry.location).read_text(encoding="utf-8").splitlines()]


def usable(data: Path, name: str, tmp_path: Path) -> int:
    (entry,) = resolve(name, data)
    return check_dataset(entry, stage="sft", cache_dir=tmp_path / "cache", placeholders={}).usable


def test_files_of_each_kind_are_added_as_they_are(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(data / "here.jsonl", ALPACA)
    documents.xlsx(tmp_path / "faq.xlsx", {"S": [["问题", "答案"], ["a", "b"]]})
    chat = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "system": "s"}
    written(tmp_path / "chat.jsonl", [chat])
    rated = {"conversations": [{"from": "human", "value": "a"}], "chosen": {"from": "gpt", "value": "b"}}
    written(tmp_path / "rated.jsonl", [{**rated, "rejected": {"from": "gpt", "value": "c"}}])
    (tmp_path / "book.txt").write_text("Once upon a time.\n", encoding="utf-8")
    assert main(["data", "add", str(data / "here.jsonl")]) == 0
    told = capsys.readouterr().out
    assert "20, of which 20 can be used" in told and told.count("user: Question") == 3
    assert main(["data", "add", "faq.xlsx", "--copy"]) == 0
    assert main(["data", "add", "chat.jsonl", "--name", "聊天"]) == 0
    assert main(["data", "add", "rated.jsonl"]) == 0
    assert main(["data", "add", "book.txt"]) == 0
    told = capsys.readouterr().out
    assert "rated: rated answers, 1 row for dpo." in told and "Once upon a time." in told
    assert main(["data", "add", "owner/name", "--hub", "--name", "far", "--split", "test"]) == 0
    assert info(data) == {
        "here": {
            "file_name": "here.jsonl",
            "columns": {"prompt": "instruction", "query": "input", "response": "output"},
        },
        "faq": {"file_name": "faq.xlsx", "columns": {"prompt": "问题", "response": "答案"}},
        "聊天": {
            "file_name": str(tmp_path / "chat.jsonl"),
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "system": "system"},
        },
        "rated": {
            "file_name": str(tmp_path / "rated.jsonl"),
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
        },
        "book": {"file_name": str(tmp_path / "book.txt"), "columns": {"prompt": "text"}},
        "far": {"hf_hub_url": "owner/name", "split": "test"},
    }
    assert (data / "faq.xlsx").exists()
    assert [usable(data, name, tmp_path) for name in ("here", "faq", "聊天")] == [20, 1, 1]


def test_adding_what_is_not_there_or_taken(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(data / "mine.jsonl", ALPACA)
    assert main(["data", "add", "nothing.jsonl"]) == 2
    assert main(["data", "add", "data/mine.jsonl"]) == 0
    capsys.readouterr()
    assert main(["data", "add", "data/mine.jsonl"]) == 2
    assert "--replace" in capsys.readouterr().err
    written(data / "odd.jsonl", [{"x": "a", "y": "b"}])
    assert main(["data", "add", "data/odd.jsonl"]) == 2
    assert "don't tell its format: x, y" in capsys.readouterr().err


def test_the_list_names_what_is_missing(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(data / "mine.jsonl", ALPACA)
    entries = {"zz": {"file_name": "mine.jsonl"}, "gone": {"file_name": "gone.jsonl"}, "far": {"hf_hub_url": "a/b"}}
    (data / "dataset_info.json").write_text(json.dumps(entries), encoding="utf-8")
    assert main(["data", "list"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["zz", "gone", "far"]
    assert "the file is missing" in lines[1]
    assert "hub: a/b" in lines[2]


def test_renaming_and_removing(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(data / "a.jsonl", ALPACA)
    assert main(["data", "add", "data/a.jsonl"]) == 0
    assert main(["data", "add", "data/a.jsonl", "--name", "b"]) == 0
    assert main(["data", "rename", "a", "b"]) == 2
    assert main(["data", "rename", "a", "c"]) == 0
    assert list(info(data)) == ["c", "b"]
    assert main(["data", "remove", "d"]) == 2
    assert "Known names: c, b" in capsys.readouterr().err
    assert main(["data", "remove", "c", "--delete-file"]) == 2
    assert "also belongs to b" in capsys.readouterr().err
    assert main(["data", "remove", "c"]) == 0
    assert (data / "a.jsonl").exists()
    assert main(["data", "remove", "b", "--delete-file"]) == 0
    assert not (data / "a.jsonl").exists()
    assert info(data) == {}


def test_a_file_outside_of_the_folder_is_never_deleted(data: Path, tmp_path: Path) -> None:
    outside = written(tmp_path / "mine.jsonl", ALPACA)
    assert main(["data", "add", "mine.jsonl"]) == 0
    assert main(["data", "remove", "mine", "--delete-file"]) == 2
    assert outside.exists()
    assert list(info(data)) == ["mine"]


def test_rows_that_ask_the_same_stay_on_one_side(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = [{**row, "instruction": row["instruction"].upper(), "output": "Another."} for row in ALPACA]
    written(data / "mine.jsonl", [*ALPACA, *again])
    assert main(["data", "add", "data/mine.jsonl"]) == 0
    capsys.readouterr()
    assert main(["data", "split", "mine", "--val-size", "0.25"]) == 0
    told = capsys.readouterr().out
    assert "30, of which 30 can be used" in told and "10, of which 10 can be used" in told
    assert "0 rows of mine_val" in told and told.count("user: ") == 3
    train, held = rows_of(data, "mine_train"), rows_of(data, "mine_val")
    assert (len(train), len(held)) == (30, 10)
    assert {row["instruction"].lower() for row in train} & {row["instruction"].lower() for row in held} == set()
    assert info(data)["mine_val"]["columns"] == info(data)["mine"]["columns"]
    assert usable(data, "mine_val", tmp_path) == 10
    first = held
    assert main(["data", "split", "mine", "--val-size", "0.25", "--replace"]) == 0
    assert rows_of(data, "mine_val") == first


def test_a_text_that_is_not_registered_is_split_by_its_paragraphs(data: Path) -> None:
    (data / "book.txt").write_text("".join(f"Line {n}.\n\n" for n in range(10)), encoding="utf-8")
    assert main(["data", "split", "data/book.txt", "--val-size", "2"]) == 0
    assert (len(rows_of(data, "book_train")), len(rows_of(data, "book_val"))) == (8, 2)
    assert info(data)["book_val"]["columns"] == {"prompt": "text"}


def test_documents_stay_whole(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**row, "source": f"{n // 5}.pdf"} for n, row in enumerate(ALPACA)]
    written(data / "mine.jsonl", rows)
    assert main(["data", "add", "data/mine.jsonl"]) == 0
    assert main(["data", "split", "mine", "--val-size", "3", "--by", "source", "--out", "t,v"]) == 0
    assert len(rows_of(data, "v")) == 5
    assert {row["source"] for row in rows_of(data, "t")} & {row["source"] for row in rows_of(data, "v")} == set()
    assert main(["data", "split", "mine", "--val-size", "3", "--by", "sorce"]) == 2
    assert "Did you mean source" in capsys.readouterr().err
    assert main(["data", "split", "mine", "--val-size", "20"]) == 2
    assert "can't be held back of 20 rows" in capsys.readouterr().err


def test_data_sets_of_two_formats_are_merged(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(data / "a.jsonl", ALPACA[:2])
    chat = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]}
    written(data / "b.jsonl", [chat])
    for name in ("a", "b"):
        assert main(["data", "add", f"data/{name}.jsonl"]) == 0
    assert main(["data", "merge", "a", "b", "data/a.jsonl", "--out", "both"]) == 0
    assert [row["conversations"][0]["value"] for row in rows_of(data, "both")][:3] == [
        "Question 0?", "Question 1?", "Hi",
    ]  # fmt: skip
    assert "2 exact" in capsys.readouterr().out


@pytest.mark.parametrize("other", ["./a.jsonl", "../data/a.jsonl", "."])
def test_a_file_that_another_entry_spells_otherwise_is_not_deleted(
    data: Path, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    written(data / "a.jsonl", ALPACA)
    entries = {"a": {"file_name": "a.jsonl"}, "b": {"file_name": other}}
    (data / "dataset_info.json").write_text(json.dumps(entries), encoding="utf-8")
    assert main(["data", "remove", "a", "--delete-file"]) == 2
    assert "also belongs to b" in capsys.readouterr().err and (data / "a.jsonl").exists()


def test_what_repeats_in_another_file_of_a_folder_is_taken_out(data: Path) -> None:
    (data / "parts").mkdir()
    for name, rows in (("1", ALPACA[:2]), ("2", ALPACA[1:3])):
        written(data / "parts" / f"{name}.jsonl", rows)
    assert main(["data", "add", "data/parts"]) == 0
    asked = {
        "settings": {"dataset_dir": "data"}, "dataset": "parts", "what": "duplicates",
        "revision": ",".join(revision(data / "parts" / f"{name}.jsonl") for name in "12"),
    }  # fmt: skip
    assert [part["removed"] for part in clean(asked, threading.Event())] == [1]


def with_hub(data: Path, hub: HubDouble, *arguments: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """A `data` command in a process of its own, where the hub's client finds the stand-in."""
    environment = {
        **os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(data.parent / "hf"), "PYTHONPATH": str(Path(tunesmith.__file__).parents[1]),
    }  # fmt: skip
    command = [sys.executable, "-m", "tunesmith", "data", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, cwd=data.parent, check=False)


def test_a_data_set_goes_to_the_hub_with_its_entry(data: Path) -> None:
    written(data / "a.jsonl", ALPACA)
    for name in ("a", "b"):
        assert main(["data", "add", "data/a.jsonl", "--name", name]) == 0
    with HubDouble() as hub:
        done = with_hub(data, hub, "push", "a", "me/set")
        assert done.returncode == 0, done.stderr
        assert f"{hub.url}/datasets/me/set" in done.stdout
        assert hub.private == {"me/set": True}
        files = hub.files["me/set"]
        assert set(files) == {"a.jsonl", "dataset_info.json", "README.md"}
        assert files["a.jsonl"] == (data / "a.jsonl").read_bytes()
        files["README.md"] = b"A card by hand."
        done = with_hub(data, hub, "push", "b", "me/set")
        assert done.returncode == 0, done.stderr
        assert list(json.loads(files["dataset_info.json"])) == ["a", "b"]
        assert files["README.md"] == b"A card by hand."
        refused = with_hub(data, hub, "push", "a", "me/other", token="hf_wrong")
        assert refused.returncode == 2
        assert "could not be uploaded to me/other" in refused.stderr
        assert "hf_wrong" not in refused.stderr


def test_a_data_set_that_was_pushed_is_loaded_from_the_hub(data: Path) -> None:
    """By the list that lies there, and as a repository of its own."""
    written(data / "a.jsonl", [{"问": f"Question {n}?", "答": f"Answer {n}."} for n in range(20)])
    entry = {"file_name": "a.jsonl", "columns": {"prompt": "问", "response": "答", "query": None}}
    (data / "dataset_info.json").write_text(json.dumps({"a": entry}), encoding="utf-8")
    with HubDouble() as hub:
        assert with_hub(data, hub, "push", "a", "me/set").returncode == 0
        (data / "a.jsonl").unlink()
        found = with_hub(data, hub, "check", "a", "--dataset_dir", "REMOTE:me/set")
        assert found.returncode == 0, found.stderr
        assert "20, of which 20 can be used" in found.stdout
        assert main(["data", "add", "me/set", "--hub", "--name", "far"]) == 0
        found = with_hub(data, hub, "check", "far")
        assert found.returncode == 0, found.stderr
        assert "20, of which 20 can be used" in found.stdout


@pytest.fixture
def modelscope(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A stand-in of ModelScope's client: what it was asked for, and the files that lie there."""
    seen: dict[str, Any] = {"files": {}}

    class HubApi:
        def login(self, token: str) -> None:
            seen["token"] = token

        def create_repo(self, repo_id: str, *, repo_type: str, exist_ok: bool, visibility: str) -> None:
            seen["repo"] = (repo_id, repo_type, exist_ok, visibility)

        def upload_folder(self, *, repo_id: str, folder_path: str, repo_type: str, commit_message: str) -> None:
            seen["files"] |= {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}

    def download(dataset_id: str, file_path: str, *, local_dir: str) -> str:
        if seen.get("broken"):
            raise ValueError("the server is busy")
        if file_path not in seen["files"]:
            raise ValueError(f"The file path: {file_path} not exist in: {dataset_id}")
        (Path(local_dir) / file_path).write_bytes(seen["files"][file_path])
        return str(Path(local_dir) / file_path)

    api, files = types.ModuleType("modelscope.hub.api"), types.ModuleType("modelscope.hub.file_download")
    api.HubApi, files.dataset_file_download = HubApi, download  # type: ignore[attr-defined]
    for name in ("modelscope", "modelscope.hub"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for module in (api, files):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-token")
    return seen


def test_a_data_set_goes_to_modelscope(data: Path, modelscope: dict[str, Any]) -> None:
    written(data / "a.jsonl", ALPACA)
    assert main(["data", "add", "data/a.jsonl"]) == 0
    assert main(["data", "push", "a", "me/set", "--modelscope"]) == 0
    assert modelscope["token"] == "ms-token"
    assert modelscope["repo"] == ("me/set", "dataset", True, "private")
    assert modelscope["files"]["a.jsonl"] == (data / "a.jsonl").read_bytes()
    assert "a" in json.loads(modelscope["files"]["dataset_info.json"])


def test_what_lies_on_modelscope_stays(
    data: Path, modelscope: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "other").mkdir()
    for name, file in (("a", "a.jsonl"), ("b", "other/a.jsonl")):
        written(data / file, ALPACA[: 2 + len(name)])
        assert main(["data", "add", f"data/{file}", "--name", name]) == 0
    written(data / "other/a.jsonl", ALPACA[:1])
    assert main(["data", "push", "a", "me/set", "--modelscope"]) == 0
    modelscope["files"]["README.md"] = b"A card by hand."
    assert main(["data", "push", "b", "me/set", "--modelscope"]) == 0
    listed = json.loads(modelscope["files"]["dataset_info.json"])
    assert {name: entry["file_name"] for name, entry in listed.items()} == {"a": "a.jsonl", "b": "b.jsonl"}
    assert modelscope["files"]["a.jsonl"] == (data / "a.jsonl").read_bytes()
    assert modelscope["files"]["b.jsonl"] == (data / "other/a.jsonl").read_bytes()
    assert modelscope["files"]["README.md"] == b"A card by hand."
    modelscope["broken"] = True
    assert main(["data", "push", "b", "me/set", "--modelscope"]) == 2  # what it can't see is not overwritten
    assert "the server is busy" in capsys.readouterr().err
