"""dataset_info.json as its users know it, without its traps; names, paths, hubs."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.data.catalog import Catalog, resolve
from tunesmith.data.hub import choose_files, download_file
from tunesmith.data.sources import locate, read_rows
from tunesmith.errors import UserError


@pytest.fixture
def folder(tmp_path):
    def make(**entries):
        (tmp_path / "dataset_info.json").write_text(json.dumps(entries), encoding="utf-8")
        return tmp_path

    return make


def test_naming_one_column_leaves_the_others(folder):
    entry = Catalog.load(folder(a={"file_name": "a.json", "columns": {"prompt": "q"}})).entry("a")
    assert (entry.columns.prompt, entry.columns.query, entry.columns.response) == ("q", "input", "output")


def test_null_switches_a_column_off(folder):
    assert Catalog.load(folder(a={"file_name": "a", "columns": {"query": None}})).entry("a").columns.query is None


def test_every_key_is_taken(folder):
    entry = Catalog.load(
        folder(
            a={
                "hf_hub_url": "me/data",
                "subset": "en",
                "split": "test",
                "folder": "f",
                "num_samples": 5,
                "formatting": "sharegpt",
                "tags": {"role_tag": "who"},
                "file_sha1": "old",
                "ranking": True,
            }
        )
    ).entry("a")
    assert (entry.place, entry.location, entry.subset, entry.split) == ("hub", "me/data", "en", "test")
    assert (entry.folder, entry.num_samples, entry.formatting, entry.tags.role_tag) == ("f", 5, "sharegpt", "who")
    assert entry.preference == "dpo"
    assert entry.notes == ()


def test_unknown_keys_are_told_with_the_nearest(folder):
    entry = Catalog.load(folder(a={"file_name": "a", "formating": "sharegpt"})).entry("a")
    assert "'formating' is without effect. Did you mean formatting" in entry.notes[0]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"columns": {"promt": "q"}, "file_name": "a"}, "unknown key 'promt'"),
        ({"tags": {"role": "q"}, "file_name": "a"}, "unknown key 'role'"),
        ({"file_name": 3}, "'file_name' is 3, expected str"),
        ({"file_name": "a", "num_samples": -1}, "'num_samples' is -1"),
        ({"file_name": "a", "formatting": "sharegp"}, "sharegp"),
        ({"script_url": "x"}, "loading script"),
        ({"om_hub_url": "x"}, "openMind"),
        ({}, "does not say where"),
        ("a.json", "not an object"),
    ],
)
def test_entries_that_are_refused(folder, entry, message):
    with pytest.raises(UserError, match=message):
        Catalog.load(folder(a=entry)).entry("a")


def test_a_damaged_info_file_is_told_with_its_line(tmp_path):
    (tmp_path / "dataset_info.json").write_text('{\n"a": {}\n"b": {}}', encoding="utf-8")
    with pytest.raises(UserError, match="line 3, column 1"):
        Catalog.load(tmp_path)


def test_a_missing_file_says_where_it_looked(folder):
    where = folder(a={"file_name": "gone.json"})
    with pytest.raises(UserError) as caught:
        resolve("a", where)
    assert str(where / "gone.json") in caught.value.message


def test_an_unknown_name_is_answered_with_the_nearest(folder):
    with pytest.raises(UserError, match="Did you mean identity"):
        resolve(["identiy"], folder(identity={"file_name": "a"}))
    with pytest.raises(UserError, match=r"no/such\.json"):
        resolve(["no/such.json"], folder())


def test_a_path_works_without_any_info_file(tmp_path):
    (tmp_path / "mine.jsonl").write_text("{}", encoding="utf-8")
    by_path, by_name = resolve(f"{tmp_path / 'mine.jsonl'}, mine.jsonl", tmp_path)
    assert by_path.location == by_name.location == str(tmp_path / "mine.jsonl")
    assert by_path.formatting is None


def test_dataset_dir_may_be_an_info_file(folder):
    where = folder(a={"file_name": "a.json"})
    (where / "a.json").write_text("[]", encoding="utf-8")
    (where / "dataset_info.json").rename(where / "mine.json")
    assert resolve("a", where / "mine.json")[0].location == str(where / "a.json")


@pytest.mark.parametrize(
    ("wanted", "files"),
    [
        ({"split": "train"}, ["data/train-0.parquet", "data/train-1.parquet"]),
        ({"split": "test"}, ["data/test-0.parquet"]),
        ({"split": "train", "folder": "zh"}, ["zh/train.jsonl"]),
        ({"split": "train", "folder": "nothing"}, []),
    ],
)
def test_the_files_of_a_split_by_their_names(wanted, files):
    names = ["README.md", "data/train-1.parquet", "data/train-0.parquet", "data/test-0.parquet"]
    names += ["zh/train.jsonl"] if "folder" in wanted else []
    assert choose_files(names, **{"subset": None, "folder": None, **wanted}) == files


def test_names_that_do_not_tell_are_left_to_a_loader():
    assert choose_files(["a.csv", "b.json"], split="train", subset=None, folder=None) == []
    assert choose_files(["a.csv", "b.csv"], split="test", subset=None, folder=None) == []


def _fake_hub(monkeypatch, folder, names):
    def download(repo_id, filename, repo_type):
        assert repo_type == "dataset"
        path = folder / filename
        if not path.exists():
            raise FileNotFoundError(f"{repo_id} has no {filename}")
        return str(path)

    fake = SimpleNamespace(hf_hub_download=download, list_repo_files=lambda repo, repo_type: names)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)


def test_online_names_are_hub_repositories_fetched_as_files(tmp_path, monkeypatch):
    (tmp_path / "train.jsonl").write_text('{"a": 1}\n', encoding="utf-8")
    _fake_hub(monkeypatch, tmp_path, ["README.md", "train.jsonl"])
    (entry,) = resolve("me/data", "ONLINE")
    assert [row.row for row in read_rows(locate(entry, tmp_path))] == [{"a": 1}]


def test_remote_takes_the_info_file_and_its_files_from_the_hub(folder, monkeypatch):
    where = folder(a={"file_name": "a.json"})
    (where / "a.json").write_text('[{"a": 1}]', encoding="utf-8")
    _fake_hub(monkeypatch, where, [])
    (entry,) = resolve("a", "REMOTE:me/data")
    assert [row.row for row in read_rows(locate(entry, where))] == [{"a": 1}]


def test_a_hub_that_does_not_answer(tmp_path, monkeypatch):
    _fake_hub(monkeypatch, tmp_path, [])
    with pytest.raises(UserError) as caught:
        resolve("a", "REMOTE:me/data")
    assert "me/data" in caught.value.message and "HF_ENDPOINT" in caught.value.hint


def test_a_repository_that_needs_a_loader_says_what_to_install(tmp_path, monkeypatch):
    _fake_hub(monkeypatch, tmp_path, ["a.csv", "b.json"])
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match="hub-datasets"):
        locate(resolve("me/data", "ONLINE")[0], tmp_path)


class FakeRows:
    """What datasets.load_dataset gives, as far as it is used."""

    def to_parquet(self, path):
        pq.write_table(pa.Table.from_pylist([{"a": 1}]), path)


def test_a_repository_that_needs_a_loader_is_loaded_with_datasets(tmp_path, monkeypatch):
    asked = {}

    def load_dataset(path, name, *, data_dir, split):
        asked.update(path=path, name=name, data_dir=data_dir, split=split)
        return FakeRows()

    _fake_hub(monkeypatch, tmp_path, ["script.py"])
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert [row.row for row in read_rows(locate(resolve("me/data", "ONLINE")[0], tmp_path))] == [{"a": 1}]
    assert asked == {"path": "me/data", "name": None, "data_dir": None, "split": "train"}


def test_modelscope_by_the_environment_or_by_the_job(folder, monkeypatch):
    where = folder(a={"hf_hub_url": "me/data", "ms_hub_url": "mine/data"})
    assert resolve("a", where)[0].place == "hub"
    assert resolve("a", where, hub="modelscope")[0].place == "modelscope"
    monkeypatch.setenv("USE_MODELSCOPE_HUB", "1")
    assert resolve("a", where, hub="huggingface")[0].place == "hub"
    (entry,) = resolve("a", where)
    assert (entry.place, entry.location) == ("modelscope", "mine/data")
    monkeypatch.setitem(sys.modules, "modelscope", None)
    monkeypatch.setitem(sys.modules, "modelscope.msdatasets", None)
    with pytest.raises(UserError, match=r"tunesmith\[modelscope\]"):
        locate(entry, where)
    loader = SimpleNamespace(load=lambda name, **rest: SimpleNamespace(to_hf_dataset=FakeRows))
    monkeypatch.setitem(sys.modules, "modelscope.msdatasets", SimpleNamespace(MsDataset=loader))
    assert [row.row for row in read_rows(locate(entry, where))] == [{"a": 1}]


def test_cloud_files_are_copied_first(folder, tmp_path):
    (tmp_path / "there.jsonl").write_text('{"a": 1}\n', encoding="utf-8")
    where = folder(
        a={"cloud_file_name": (tmp_path / "there.jsonl").as_uri()}, b={"cloud_file_name": "file:///none.json"}
    )
    good, bad = resolve("a,b", where)
    assert [row.row for row in read_rows(locate(good, tmp_path / "cache"))] == [{"a": 1}]
    with pytest.raises(UserError, match="Can't fetch"):
        locate(bad, tmp_path / "cache")


def test_a_path_with_a_comma_is_one_data_set(tmp_path):
    path = tmp_path / "a, b.jsonl"
    path.write_text("{}", encoding="utf-8")
    for names in (str(path), [str(path)], path.name):
        assert [Path(entry.location) for entry in resolve(names, tmp_path)] == [path]
    with pytest.raises(UserError) as caught:
        resolve(f"{tmp_path}/c, d.jsonl", tmp_path)
    assert "given as a list: dataset: [" in caught.value.hint


def test_the_hubs_own_lines_on_retries_are_kept_back(monkeypatch, caplog):
    logger = logging.getLogger("huggingface_hub.utils._http")

    def download(**where):
        logger.warning("Retrying in 1s [Retry 1/5].")
        raise OSError("no network")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=download))
    with pytest.raises(UserError, match="no network"):
        download_file("me/data", "a.json", field="dataset")
    assert caplog.records == []
    logger.warning("afterwards")
    assert len(caplog.records) == 1


def test_one_damaged_row_does_not_hide_the_format(tmp_path: Path) -> None:
    from tunesmith.data.layout import choose_layout

    good = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    file = tmp_path / "chat.jsonl"
    file.write_text("", encoding="utf-8")
    (entry,) = resolve(str(file), tmp_path)
    layout = choose_layout(entry, [good, good, {"messages": "not a list"}], "sft")
    assert layout.format.name == "openai"
