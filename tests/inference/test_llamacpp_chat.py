"""Talking to a GGUF file through llama.cpp."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import ARCHITECTURES

from tunesmith.cli.main import main
from tunesmith.config import GenerationConfig
from tunesmith.inference.llamacpp import llamacpp_engine
from tunesmith.text.conversation import Conversation, Message

DOUBLE = Path(__file__).parents[1] / "export" / "convert_double.py"


@pytest.fixture
def gguf(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> Path:
    base = str(tiny_model_dir("qwen3"))
    asked = ["--base", base, "--quant", "f32", "--export-dir", str(tmp_path / "tiny"), "export_verify=false"]
    assert main(["export", *asked, "template=qwen"]) == 0
    return tmp_path / "tiny" / "tiny-f32.gguf"


def answers(
    path: Path, *words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], questions: str
) -> list[str]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(questions))
    capsys.readouterr()
    assert main(["chat", str(path), "do_sample=false", "max_new_tokens=8", *words]) == 0
    # A random model may end within a character, which llama.cpp does not show.
    return [line.rstrip("\ufffd") for line in capsys.readouterr().out.splitlines()]


def test_llama_cpp_answers_as_torch_does(
    gguf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(*words: str) -> list[str]:
        return answers(gguf, *words, monkeypatch=monkeypatch, capsys=capsys, questions="Who are you?\n你好\n")

    ours = ask("infer_dtype=float32")
    assert ask("--runtime", "llamacpp") == ours
    assert ask("--runtime=torch", "infer_dtype=float32") == ours


def test_a_file_of_an_architecture_unknown_here_is_for_llama_cpp(
    tiny_model_dir: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(ARCHITECTURES, "olmo2", {})
    path = tmp_path / "olmo2.gguf"
    command = [sys.executable, str(DOUBLE), str(tiny_model_dir("olmo2")), "--outfile", str(path), "--model-name", "m"]
    subprocess.run(command, check=True)
    found = answers(path, monkeypatch=monkeypatch, capsys=capsys, questions="Who are you?\n")
    assert len(found) == 1 and found[0]


def test_an_answer_tells_how_it_ended(gguf: Path) -> None:
    settings = GenerationConfig(do_sample=False, max_new_tokens=4)
    with llamacpp_engine(gguf, thinking=None, seed=1) as engine:
        answer = engine.stream(Conversation((Message("user", "Hello"),)), settings)
        text = "".join(piece.text for piece in answer)
    assert answer.finish == "length"
    assert answer.tokens == 4
    assert answer.message.content == text
    assert answer.prompt_tokens > 4


@pytest.mark.parametrize(
    ("words", "told"), [(["--runtime", "llamacpp"], "a GGUF file alone"), (["--runtime", "vllm"], "llamacpp or torch")]
)
def test_what_can_not_be(
    words: list[str], told: str, tiny_model_dir: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", str(tiny_model_dir("qwen3")), *words]) == 2
    assert told in capsys.readouterr().err
