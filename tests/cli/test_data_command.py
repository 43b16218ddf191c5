from pathlib import Path

import pytest

from tunesmith.authoring.options import ConvertSettings, MakeOptions, Options, RolesOptions
from tunesmith.cli.data import configuration
from tunesmith.cli.data_options import read_arguments
from tunesmith.cli.main import main
from tunesmith.errors import UserError


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


@pytest.mark.parametrize("kind", [ConvertSettings, MakeOptions, RolesOptions])
def test_options_are_taken_with_an_underscore_as_with_a_hyphen(kind: type[Options]) -> None:
    _, given = read_arguments(["a.txt", "--dataset_dir", "one", "--out=x"], kind, "it")
    _, same = read_arguments(["a.txt", "--dataset-dir=one", "--out", "x"], kind, "it")
    assert given == same and given.dataset_dir == "one"
    with pytest.raises(UserError, match="everybody on this machine"):
        read_arguments(["a.txt", "--api_key=sk-1"], kind, "it")
