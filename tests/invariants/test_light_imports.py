"""What people type often starts at once: no heavy package is imported before it is needed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MODEL_LIBRARIES = {"torch", "transformers", "peft", "accelerate", "datasets"}
HEAVY = MODEL_LIBRARIES | {
    "pydantic", "yaml", "rich", "numpy", "jinja2", "tokenizers", "matplotlib", "pyarrow", "gguf",
}  # fmt: skip


def imported_by(program: str, tmp_path: Path) -> set[str]:
    """Top-level packages in sys.modules after the program."""
    result = tmp_path / "modules.json"
    tail = "import json, sys; open(sys.argv[1], 'w', encoding='utf-8').write(json.dumps(sorted(sys.modules)))"
    subprocess.run([sys.executable, "-c", f"{program}\n{tail}", str(result)], check=True, capture_output=True)
    return {name.split(".")[0] for name in json.loads(result.read_text(encoding="utf-8"))}


def test_help_and_version_import_nothing_heavy(tmp_path: Path) -> None:
    for arguments in (["--help"], ["help"], ["version"], ["--version"], ["train", "--help"], ["no-such-command"]):
        program = f"from tunesmith.cli.main import main; main({arguments!r})"
        assert imported_by(program, tmp_path) & HEAVY == set(), arguments


def test_importing_the_package_is_light(tmp_path: Path) -> None:
    assert imported_by("import tunesmith", tmp_path) & HEAVY == set()


def test_the_rooms_without_torch_do_without_it(tmp_path: Path) -> None:
    program = """
import importlib, pkgutil, tunesmith
for room in ("config", "text", "runs", "authoring", "cli", "web"):
    package = importlib.import_module(f"tunesmith.{room}")
    for module in pkgutil.walk_packages(package.__path__, f"tunesmith.{room}."):
        importlib.import_module(module.name)
import tunesmith.jobs.launch
"""
    assert imported_by(program, tmp_path) & MODEL_LIBRARIES == set()


def test_importing_the_configuration_is_light(tmp_path: Path) -> None:
    assert imported_by("import tunesmith.config.job, tunesmith.config.load", tmp_path) & HEAVY == set()


def test_resolving_a_job_imports_no_model_library(tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text("model_name_or_path: some/model\ndataset: d.jsonl\nstage: sft\n", encoding="utf-8")
    program = f"""
from pathlib import Path
from tunesmith.config.load import load_job
load_job([Path({str(config)!r})], {{}}, verb="train")
"""
    assert imported_by(program, tmp_path) & MODEL_LIBRARIES == set()


@pytest.mark.parametrize("arguments", [["--dry-run"], ["--dry-run", "optim=adafactor", "template=qwen3"]])
def test_a_dry_run_imports_no_model_library(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").touch()
    given = ["model_name_or_path=some/model", f"dataset={tmp_path / 'd.jsonl'}", *arguments]
    program = f"from tunesmith.cli.main import main; assert main(['train', *{given!r}]) == 0"
    assert imported_by(program, tmp_path) & {*MODEL_LIBRARIES, "pyarrow", "matplotlib", "numpy"} == set()


def test_a_folder_that_does_not_exist_is_told_without_model_libraries(tmp_path: Path) -> None:
    program = "from tunesmith.cli.main import main; assert main(['chat', 'saves/no-such-run']) == 2"
    assert imported_by(program, tmp_path) & MODEL_LIBRARIES == set()
