"""Every way a config file can be wrong has one clear message."""

from pathlib import Path

import pytest

from tunesmith.config.load import load_job
from tunesmith.errors import UserError

OVERRIDES = {"model_name_or_path": "m", "dataset": "d"}


def refusal(path: Path) -> UserError:
    with pytest.raises(UserError) as error:
        load_job([path], OVERRIDES, verb="train")
    assert "\n" not in error.value.message and error.value.hint
    return error.value


def written(tmp_path: Path, content: str | bytes, name: str = "cfg.yaml") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def test_a_byte_order_mark_is_no_trouble(tmp_path: Path) -> None:
    for content in ("\ufeffseed: 3\n".encode(), "seed: 3\r\n".encode("utf-16")):
        assert load_job([written(tmp_path, content)], OVERRIDES, verb="train").job.training.seed == 3
    assert load_job([written(tmp_path, '\ufeff{"seed": 3}', "c.json")], OVERRIDES, verb="train").job.training.seed == 3


def test_gbk_is_read_and_said(tmp_path: Path) -> None:
    path = written(tmp_path, "default_system: 你好，世界\n".encode("gbk"))
    resolved = load_job([path], OVERRIDES, verb="train")
    assert resolved.job.data.default_system == "你好，世界"
    assert any("UTF-8" in note and "cfg.yaml" in note for note in resolved.notes)


def test_a_binary_file_is_no_config(tmp_path: Path) -> None:
    assert "not a text file" in refusal(written(tmp_path, b"\x80\xff\xff\x00\x81")).message


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    written(tmp_path, "seed: 1", "qwen3_lora.yaml")
    error = refusal(tmp_path / "qwen_lora.yaml")
    assert "There is no config file" in error.message and "qwen3_lora.yaml" in error.hint
    assert "does not exist" in refusal(tmp_path / "nowhere" / "cfg.yaml").hint


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    (tmp_path / "dir.yaml").mkdir()
    assert "is a folder" in refusal(tmp_path / "dir.yaml").message


@pytest.mark.parametrize("name", ["cfg.yaml", "cfg.json"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    assert "is empty" in refusal(written(tmp_path, " \n", name)).message


def test_a_file_of_comments_holds_no_settings(tmp_path: Path) -> None:
    assert "expected `key: value` lines" in refusal(written(tmp_path, "# nothing\n")).message


@pytest.mark.parametrize(
    ("name", "content"), [("c.yaml", "- a\n- b\n"), ("c.json", "[1, 2]"), ("c.yaml", "just words\n"), ("c.json", "5")]
)
def test_a_file_that_is_no_mapping(tmp_path: Path, name: str, content: str) -> None:
    assert "expected `key: value` lines" in refusal(written(tmp_path, content, name)).message


def test_tabs_are_named(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, "seed: 1\nplaceholders:\n\tname: Ada\n"))
    assert "line 3" in error.message and "tab" in error.message


def test_a_key_given_twice(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, "seed: 1\nlora_rank: 8\nseed: 2\n"))
    assert "line 3" in error.message and "seed is given twice" in error.message and "line 1" in error.message
    assert "seed is given twice" in refusal(written(tmp_path, '{"seed": 1, "seed": 2}', "c.json")).message


@pytest.mark.parametrize(
    "content", ["seed: 1\nlora_rank:8\n", "seed: [1\n", "seed: 'x\n", "a: b: c\n", "seed: *nowhere\n", "seed: \x07\n"]
)
def test_broken_yaml_names_its_line_or_its_fault(tmp_path: Path, content: str) -> None:
    assert "cfg.yaml" in refusal(written(tmp_path, content)).message


def test_yaml_that_eats_itself(tmp_path: Path) -> None:
    assert "cfg.yaml" in refusal(written(tmp_path, "dataset: &a [*a]\n")).message


def test_broken_json_names_its_line(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, '{\n"seed": 1,\n}', "c.json"))
    assert "line" in error.message and "not valid JSON" in error.message


@pytest.mark.parametrize(
    "text",
    [
        "{name: Ada, author: me and you}",
        "name: Ada, author: me and you",
        "name：Ada，author：me and you",
        "name: Ada\nauthor: me and you",
        "name: 'Ada'; author: \"me and you\"",
    ],
)
def test_a_mapping_may_be_typed_without_braces(text: str) -> None:
    job = load_job([], {**OVERRIDES, "placeholders": text}).job
    assert job.data.placeholders == {"name": "Ada", "author": "me and you"}
