"""`tunesmith data check` and `data preview` on good files and bad ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.cli.main import main

Check = Callable[..., tuple[int, str]]


def rows(*pairs: tuple[str, str]) -> str:
    return "".join(
        json.dumps({"instruction": question, "output": answer}, ensure_ascii=False) + "\n" for question, answer in pairs
    )


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """`check("check", "a.jsonl", …)` in a folder of its own → (exit code, what was printed)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["data", *arguments])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def test_refused_rows_are_named_and_counted(check: Check) -> None:
    text = rows(("Hi", "Hello"), ("q", ""), ("Hi", "Hello"))
    Path("a.jsonl").write_text(text + "{broken\n" + '{"instruction": 3, "output": "x"}\n', encoding="utf-8")
    code, said = check("check", "a.jsonl")
    assert code == 0
    assert "5, of which 2 can be used" in said
    assert "a.jsonl, line 2: the answer is empty" in said
    assert "a.jsonl, line 4: " in said and "a.jsonl, line 5: " in said
    assert "1 exact" in said and "a.jsonl:3 = a.jsonl:1" in said
    assert "Token lengths need a model" in said
    assert check("check", "a.jsonl", "--strict")[0] == 1


def test_a_clean_file_passes_strictly(check: Check) -> None:
    Path("a.jsonl").write_text(rows(("Hi", "Hello")), encoding="utf-8")
    assert check("check", "a.jsonl", "--strict")[0] == 0


def test_nothing_usable_is_a_failure(check: Check) -> None:
    Path("a.jsonl").write_text(rows(("Hi", "")), encoding="utf-8")
    assert check("check", "a.jsonl")[0] == 1


def test_lengths_truncation_and_what_is_trained_on_too(check: Check, tiny_model_dir: Callable[..., Path]) -> None:
    Path("a.jsonl").write_text(rows(("Hi", "Hello"), ("Long", "word " * 60), ("And", "so on")), encoding="utf-8")
    Path("held.jsonl").write_text(rows(("HI", "hello!"), ("new", "one")), encoding="utf-8")
    model = f"model_name_or_path={tiny_model_dir('llama')}"
    code, said = check("check", "a.jsonl", "eval_dataset=held.jsonl", model, "cutoff_len=32", "template=chatml")
    assert code == 0
    assert "Longer than cutoff_len 32: 1 row (33.3 %)." in said
    assert "█" in said and "tokens; a row has" in said
    assert "1 row of held.jsonl" in said
    assert "held.jsonl (alpaca)" in said and "2, of which 2 can be used" in said


def test_rows_are_checked_without_tokens_where_the_model_cannot_be_had(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    Path("a.jsonl").write_text(rows(("Hi", "Hello")) + "{broken\n", encoding="utf-8")
    code, said = check("check", "a.jsonl", "model_name_or_path=nobody/no-such-model")
    assert code == 0 and "2, of which 1 can be used" in said
    assert "Tokens are not counted: nobody/no-such-model is no folder here" in said


def test_a_gbk_file_is_read_and_said(check: Check) -> None:
    text = rows(("你是谁？", "我是一个人工智能助手，很高兴认识你。"), ("你好", "你好！请问有什么可以帮你的吗？"))
    Path("中文.jsonl").write_bytes(text.encode("gbk"))
    code, said = check("check", "中文.jsonl")
    assert code == 0 and "2, of which 2 can be used" in said and "中文.jsonl: GB18030" in said


def test_placeholders_that_are_left(check: Check) -> None:
    Path("a.jsonl").write_text(rows(("Who?", "I am {{name}}, by {{author}}.")), encoding="utf-8")
    _, said = check("check", "a.jsonl")
    assert "{{name}} 1 ×, {{author}} 1 ×" in said
    _, said = check("check", "a.jsonl", "--placeholders.name", "Ada", "--placeholders.author", "Me")
    assert "placeholders" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check"], "`tunesmith data check` needs a data set"),
        (["check", "aa.jsonl"], "Did you mean a.jsonl?"),
        (["check", "cutoff_len=10"], "No data set is named"),
        (["check", "b.jsonl"], "There is no data set or file called 'b.jsonl'"),
        (["check", "a.jsonl", "model_name_or_path=no/such/model/x"], "There is no folder"),
        (["check", "a.jsonl", "dataset_dri=."], "Did you mean dataset_dir"),
        (["preview", "a.jsonl"], "A preview shows tokens"),
    ],
)
def test_mistakes_are_told(check: Check, arguments: list[str], said: str) -> None:
    Path("a.jsonl").write_text(rows(("Hi", "Hello")), encoding="utf-8")
    code, printed = check(*arguments)
    assert code == 2 and said in printed


def test_preview_shows_text_and_what_is_trained(check: Check, tiny_model_dir: Callable[..., Path]) -> None:
    Path("a.jsonl").write_text(rows(("Hi", "Hello"), ("q", ""), ("Never", "shown")), encoding="utf-8")
    code, said = check("preview", "a.jsonl", f"model_name_or_path={tiny_model_dir('llama')}", "--rows", "2")
    assert code == 0
    assert "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>" in said
    assert "a.jsonl:1 — " in said and " trained" in said
    assert "a.jsonl, line 2: the answer is empty" in said and "Never" not in said


def test_a_tokenizer_without_weights_will_do(check: Check, tiny_tokenizer_dir: Path) -> None:
    Path("a.jsonl").write_text(rows(("Hi", "Hello")), encoding="utf-8")
    code, said = check("check", "a.jsonl", f"model_name_or_path={tiny_tokenizer_dir}")
    assert code == 0 and "tokens; a row has" in said


def test_the_tokenizer_of_a_gguf_file(check: Check, smollm2_gguf: Path) -> None:
    Path("a.jsonl").write_text(rows(("Hi", "Hello")), encoding="utf-8")
    code, said = check("preview", "a.jsonl", f"model_name_or_path={smollm2_gguf}")
    assert code == 0 and "assistant\nHello<|im_end|>" in said


def test_plain_text_for_pretraining(check: Check, tiny_model_dir: Callable[..., Path]) -> None:
    Path("book.txt").write_text("Call me Ishmael.\nSome years ago.\n", encoding="utf-8")
    code, said = check("check", "book.txt", "stage=pt", f"model_name_or_path={tiny_model_dir('llama')}")
    assert code == 0 and "can be used" in said and "tokens; a row has" in said


def test_a_model_folder_is_read_without_torch(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(rows(("Hi", "Hello")), encoding="utf-8")
    program = (
        "import sys; from tunesmith.cli.main import main\n"
        f"code = main(['data', 'check', 'a.jsonl', r'model_name_or_path={tiny_model_dir('llama')}'])\n"
        "print(code, sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert done.stdout.splitlines()[-1] == "0 []"
