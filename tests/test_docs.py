"""What the documentation names exists: paths, commands, keys, variables; its YAML, JSON and Python blocks load."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tunesmith
from tunesmith.cli.main import COMMANDS, main
from tunesmith.config.arguments import split_arguments
from tunesmith.config.fields import fields
from tunesmith.config.legacy_keys import LEGACY
from tunesmith.config.load import load_job
from tunesmith.data.catalog import Catalog
from tunesmith.text.families import family_names
from tunesmith.text.formats import FORMATS, Columns, Tags

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "tunesmith"
GENERATED = ROOT / "docs" / "reference" / "config.md"
PAGES = sorted(page for page in [*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")] if page != GENERATED)
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]
# Top folders of the repository: a path that begins with one of them is meant to be there.
OURS = ("src/", "tests/", "docs/", "examples/", "data/", "benchmarks/", "setup/")
ROOMS = tuple(f"{room.name}/" for room in PACKAGE.iterdir() if room.is_dir())
# Keys that stand in data files, not in a configuration.
IN_DATA = {"file_name", "hf_hub_url", "ms_hub_url", "file_sha1", "num_samples", "reasoning_content", "tool_calls"}
IN_DATA |= set(Columns.__dataclass_fields__) | set(Tags.__dataclass_fields__)
COMMAND_FLAGS = {"rows", "dry_run", "root", "key", "name", "author", "folder"}

every_page = pytest.mark.parametrize("page", PAGES, ids=IDS)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def spans(page: Path) -> list[str]:
    """What stands between single backticks, outside of fenced blocks."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", prose)


def command_lines(page: Path) -> Iterator[list[str]]:
    """The words after `tunesmith` wherever a command is written."""
    written = [line.strip() for block in blocks(page, "sh") for line in block.splitlines()] + spans(page)
    for line in written:
        words = re.split(r"\s+[<>#|]|\s{3,}", line)[0].split()
        if words and words[0] in ("tunesmith", ".venv/bin/tunesmith") and len(words) > 1:
            yield words[1:]


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@every_page
def test_paths_exist(page: Path) -> None:
    named = {span for span in spans(page) if re.fullmatch(r"[\w./-]+/[\w./-]*", span)}
    named |= {word for words in command_lines(page) for word in words if word.startswith("examples/")}
    ours = {path for path in named if path.startswith((*OURS, *ROOMS))}
    missing = [path for path in ours if not (ROOT / path).exists() and not (PACKAGE / path).exists()]
    assert missing == []


@every_page
def test_commands_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, *rest in command_lines(page):
        assert command in COMMANDS, f"tunesmith {command}"
        action = rest[0] if rest else ""
        if command == "runs" and action:
            with pytest.raises(SystemExit) as ended:
                main(["runs", action, "--help"])
            assert ended.value.code == 0, f"tunesmith runs {action}"
        if command == "data" and action:
            main(["data", action])
            assert "There is no command" not in capsys.readouterr().err, f"tunesmith data {action}"


@every_page
def test_keys_on_command_lines_exist(page: Path) -> None:
    for command, *rest in command_lines(page):
        if command not in ("train", "plan", "chat", "data"):
            continue
        if command == "data" and rest and rest[0] not in ("check", "preview"):
            continue  # flags of its own, below
        words = [word for word in rest if "=" in word or word.startswith("--")]
        _, given = split_arguments(words, is_flag=lambda key: True)
        unknown = {key.partition(".")[0] for key in given} - set(fields()) - COMMAND_FLAGS - {"key"}
        assert not unknown, f"tunesmith {command} {' '.join(rest)}"


@every_page
def test_flags_of_data_commands_are_in_their_help(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, *rest in command_lines(page):
        if command == "data" and rest and rest[0] not in ("check", "preview"):
            main(["data", rest[0], "--help"])
            help_page = capsys.readouterr().out
            flags = [word.partition("=")[0] for word in rest if word.startswith("--")]
            assert [flag for flag in flags if flag not in help_page] == [], f"tunesmith data {' '.join(rest)}"


@every_page
def test_keys_exist(page: Path) -> None:
    """`some_key` and `some_key: value` are keys, or at least words of the source."""
    known = set(fields()) | set(LEGACY) | IN_DATA
    named = {span for span in spans(page) if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", span)}
    named |= {found[1] for span in spans(page) if (found := re.fullmatch(r"([a-z_]+): .+", span))}
    unknown = named - known - set(family_names()) - set(fields_values())
    source = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    assert [word for word in unknown if not re.search(rf"\b{word}\b", source)] == []


def fields_values() -> Iterator[str]:
    """Words that are values of keys or names of data formats."""
    yield from (name for name, _ in FORMATS)
    yield from ("interleave_under", "interleave_over", "interleave_once")


@every_page
def test_environment_variables_are_read_by_somebody(page: Path) -> None:
    text = "\n".join(spans(page))
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text))
    read = "\n".join(
        path.read_text(encoding="utf-8") for path in [*PACKAGE.rglob("*.py"), *(ROOT / "setup").glob("*.py")]
    )
    assert [name for name in named if name not in read] == []


@every_page
def test_make_targets_exist(page: Path) -> None:
    written = [line for block in blocks(page, "sh") for line in block.splitlines()] + spans(page)
    named = {found[1] for line in written if (found := re.match(r"make (\w+)", line))}
    assert named <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@every_page
def test_yaml_blocks_load(page: Path, tmp_path: Path) -> None:
    """A block may leave out the model or the data; with those it is a whole configuration."""
    for number, block in enumerate(blocks(page, "yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block, encoding="utf-8")
        needed = {"model_name_or_path": "owner/name", "dataset": "mine.jsonl"}
        given = {key: value for key, value in needed.items() if not re.search(rf"^{key}:", block, re.MULTILINE)}
        load_job([path], given, verb="train")


@every_page
def test_json_blocks_are_what_they_show(page: Path) -> None:
    """Rows are read by the format that recognizes them, entries of dataset_info.json by the catalogue."""
    for block in blocks(page, "json"):
        for value in json_values(block):
            if all(isinstance(entry, dict) for entry in value.values()):
                catalog = Catalog("the page", value, ROOT)
                assert [note for name in value for note in catalog.entry(name).notes] == []
            else:
                (reader,) = [known for _, known in FORMATS if known.detect(value)]
                reader.read(value, Columns(), Tags())


def json_values(block: str) -> list[dict[str, Any]]:
    """One object, or one on each line."""
    try:
        return [json.loads(block)]
    except json.JSONDecodeError:
        return [json.loads(line) for line in block.splitlines()]


@every_page
def test_python_blocks_use_what_there_is(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")
        assert {name for name in re.findall(r"\btunesmith\.(\w+)", block)} <= set(tunesmith.__all__)


@every_page
def test_images_are_small(page: Path) -> None:
    for image in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / image).stat().st_size <= 150_000


def test_the_two_readmes_show_the_same_commands() -> None:
    english, chinese = (ROOT / name for name in ("README.md", "README.zh.md"))
    for language in ("sh", "yaml", "python"):
        shown = [[re.sub(r"\s*#.*", "", block) for block in blocks(page, language)] for page in (english, chinese)]
        assert shown[0] == shown[1]


def configurations() -> list[Path]:
    """Every YAML of the repository that is a configuration."""
    skipped = {".venv", ".cache", "work", "node_modules", ".git", "tests", "saves", "demo"}
    found = (path for path in ROOT.rglob("*.y*ml") if path.suffix in (".yaml", ".yml"))
    return sorted(path for path in found if not skipped & set(path.relative_to(ROOT).parts))


# Examples that stand on something that is made or installed first.
IN_PLACE_OF_LATER = {
    "chat": ["dataset=identity", "adapter_name_or_path=null"],
    "continue_adapter": ["adapter_name_or_path=null"],
    "lora_sft_gguf": ["model_name_or_path=Qwen/Qwen3-0.6B"],
    "predict": ["adapter_name_or_path=null", "predict_base=false"],
}


@pytest.mark.parametrize("path", configurations(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_configuration_passes_a_dry_run(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = IN_PLACE_OF_LATER.get(path.stem, [])
    assert main(["train", str(path), "--dry-run", *asked]) == 0, capsys.readouterr().err
    assert "model_name_or_path: " in capsys.readouterr().out
