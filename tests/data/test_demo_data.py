"""The data that comes along: every row can be used, and the identity set is filled in by two settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.data.catalog import Catalog, resolve
from tunesmith.data.examples import ExampleReader, ReadExample
from tunesmith.data.sources import locate
from tunesmith.data.tokenize import open_dataset

FOLDER = Path(__file__).parents[2] / "data"
NAMES = Catalog.load(FOLDER).names()


def examples(name, tmp_path, placeholders=()):
    (entry,) = resolve(name, FOLDER)
    layout, rows = open_dataset(entry, locate(entry, tmp_path), "pt" if name.startswith("pretrain") else "sft")
    return list(map(ExampleReader(layout, dict(placeholders)).read, rows))


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_the_bundled_data_can_be_used(tmp_path, name):
    read = examples(name, tmp_path)
    assert len(read) >= 8
    assert [one for one in read if not isinstance(one, ReadExample)] == []


def test_every_bundled_file_is_in_the_catalogue():
    files = {path.name for path in FOLDER.iterdir()} - {"dataset_info.json"}
    assert files == {Path(resolve(name, FOLDER)[0].location).name for name in NAMES}


def test_identity_is_filled_in_completely_and_never_asks_the_same_twice(tmp_path):
    assert {name for one in examples("identity", tmp_path) for name in one.left} == {"name", "author"}
    read = examples("identity", tmp_path, {"name": "Wren", "author": "Ada Lovelace"})
    assert len(read) >= 90
    assert not any(one.left for one in read)
    questions = [one.example.messages[0].content for one in read]
    assert len(set(questions)) == len(questions)
    answers = [one.example.messages[1].content for one in read]
    assert all("Wren" in answer or "Ada Lovelace" in answer for answer in answers)
