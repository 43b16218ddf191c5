"""Architectures without a table of ours: by llama.cpp's converter where the user has it, else with the way out."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import ARCHITECTURES

from tunesmith.cli.main import main
from tunesmith.models.gguf.file import open_gguf

DOUBLE = Path(__file__).parents[1] / "export" / "convert_double.py"


@pytest.fixture
def olmo2(tiny_model_dir: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(ARCHITECTURES, "olmo2", {})
    return tiny_model_dir("olmo2", hidden_size=256, intermediate_size=256)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLAMA_CPP_DIR", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def install(folder: Path) -> None:
    folder.mkdir()
    shutil.copyfile(DOUBLE, folder / "convert_hf_to_gguf.py")


def test_without_a_converter_the_way_out_is_named(olmo2: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--base", str(olmo2), "--quant", "q8_0", "--export-dir", "out"]) == 2
    told = capsys.readouterr().err
    assert "no GGUF table for olmo2" in told
    assert "LLAMA_CPP_DIR" in told
    assert not Path("out").exists()


def test_the_users_converter_makes_the_file_and_it_answers(
    olmo2: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(Path("llama.cpp"))
    monkeypatch.setenv("LLAMA_CPP_DIR", "llama.cpp")
    asked = ["export", "--base", str(olmo2), "--quant", "f32,q8_0,q4_k_m", "--export-dir", "out", "template=qwen"]
    assert main([*asked, "--dry-run"]) == 0
    assert "out-q4_k_m.gguf" in capsys.readouterr().out
    assert main(asked) in (0, 1), "a random model of two layers may not stand four bits"
    said = capsys.readouterr().out
    assert "100%" in next(line for line in said.splitlines() if "out-f32.gguf" in line and "pass" in line)
    kinds = {tensor.kind.name for tensor in open_gguf(Path("out/out-q4_k_m.gguf")).tensors.values()}
    assert kinds == {"F32", "Q4_K", "Q6_K"}
    assert open_gguf(Path("out/out-q8_0.gguf")).metadata["general.file_type"] == 7
    assert [each.name for each in Path().iterdir() if each.name.startswith(".")] == [], "what lay aside is gone"


def test_a_converter_on_the_path_that_fails_is_quoted(
    olmo2: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(Path("bin"))
    script = Path("bin/convert_hf_to_gguf.py")
    script.write_text(script.read_text(encoding="utf-8").replace('"olmo2":', '"other":'), encoding="utf-8")
    assert main(["export", "--base", str(olmo2), "--to", "gguf", "--export-dir", "out", "template=qwen"]) == 2
    assert "Model Olmo2ForCausalLM is not supported" in capsys.readouterr().err
    assert list(Path("out").glob("*.gguf")) == []


def test_a_folder_without_a_converter_is_told(
    olmo2: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLAMA_CPP_DIR", "nowhere")
    assert main(["export", "--base", str(olmo2), "--to", "gguf"]) == 2
    assert "LLAMA_CPP_DIR is nowhere" in capsys.readouterr().err
