from pathlib import Path

import pytest

from tunesmith.cli.data import configuration
from tunesmith.cli.main import main


def test_names_and_files_become_the_dataset(tmp_path: Path) -> None:
    assert configuration(["identity", "mine.jsonl"]) == ["dataset=identity,mine.jsonl"]
    assert configuration(["cfg.yaml"]) == ["cfg.yaml"]
    assert configuration(["mine.json", "cfg.yml", "cutoff_len=512", "--template", "qwen3"]) == [
        "cfg.yml", "cutoff_len=512", "--template", "qwen3", "dataset=mine.json",
    ]  # fmt: skip


def test_a_file_with_an_equals_sign_in_its_name_is_a_file(tmp_path: Path) -> None:
    odd = tmp_path / "a=b.jsonl"
    odd.touch()
    assert configuration([str(odd)]) == [f"dataset={odd}"]


def test_a_misspelled_action(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "chekc", "a.jsonl"]) == 2
    assert "Did you mean check" in capsys.readouterr().err


def test_rows_that_are_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "preview", "a.jsonl", "--rows", "all"]) == 2
    assert "--rows needs a whole number" in capsys.readouterr().err
