import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tunesmith.cli import main as command_line
from tunesmith.cli.main import COMMANDS, MISSING, main
from tunesmith.errors import UserError


def tunesmith(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "tunesmith", *arguments], capture_output=True, env={**os.environ, **environment}
    )


def answering(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make every command end in this error."""

    def dispatch(arguments: list[str]) -> int:
        raise error

    monkeypatch.setattr(command_line, "dispatch", dispatch)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert name in page
        assert command.summary in page


def test_without_a_command_the_help_page_and_the_code_of_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "train" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith("tunesmith 0.")


def test_every_commands_help_says_how_to_call_it(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train", "plan", "chat", "data", "runs", "doctor", "env", "demo"):
        try:
            assert main([name, "--help"]) == 0
        except SystemExit as ended:  # argparse leaves this way
            assert ended.code == 0
        assert f"tunesmith {name}" in capsys.readouterr().out, name


def test_help_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "--help"]) == main(["help", "lora_rank", "--help"]) == 0
    assert "COMMAND" in (page := capsys.readouterr().out) and "Takes: a whole number" in page


def test_a_misspelled_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "Did you mean train" in capsys.readouterr().err


def test_llamafactorys_verbs_are_answered(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("train", "chat", "export", "api", "webui", "webchat", "eval", "env", "version", "help"):
        assert verb in COMMANDS or verb in MISSING
    for verb in MISSING:
        assert main([verb, "cfg.yaml"]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert "not in this version yet" in told


def test_a_users_mistake_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, UserError("No such file: a.yaml.", hint="Did you mean b.yaml?"))
    assert main(["train", "a.yaml"]) == 2
    assert capsys.readouterr().err == "Error: No such file: a.yaml.\n  → Did you mean b.yaml?\n"


def test_our_own_mistake_is_one_line_and_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("TUNESMITH_DEBUG", raising=False)
    answering(monkeypatch, ZeroDivisionError("division by zero"))
    assert main(["train", "a.yaml", "hf_hub_token=hf_abc"]) == 1
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert "ZeroDivisionError: division by zero" in told
    (log,) = (tmp_path / "tunesmith-crashes").iterdir()
    assert str(log) in told
    written = log.read_text(encoding="utf-8")
    assert "Traceback" in written
    assert "hf_hub_token=***" in written
    assert "hf_abc" not in written


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_DEBUG", "1")
    answering(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["train"])


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answering(monkeypatch, KeyboardInterrupt())
    assert main(["train"]) == 128 + signal.SIGINT
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error() -> None:
    program = f"{sys.executable} -m tunesmith doctor | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True)
    assert b"Traceback" not in done.stderr


def test_output_is_utf8_whatever_the_code_page() -> None:
    for encoding in ("cp1252", "ascii", "gbk"):
        done = tunesmith("trian", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
        assert done.returncode == 2
        assert "→ Did you mean" in done.stderr.decode("utf-8")


def test_piped_output_has_no_colour_codes() -> None:
    done = tunesmith("doctor", TERM="xterm-256color")
    assert b"\x1b" not in done.stdout
    assert b"pass" in done.stdout


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--qant", "q4_k_m"], "Did you mean --quant?"),
        (["--dryrun"], "Did you mean --dry-run?"),
        (["--to", "gguff"], "Did you mean gguf"),
        (["--to", "safetensors,gguff"], "Did you mean gguf"),
    ],
)
def test_misspelled_flags_and_choices_of_export(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "gpt2", *words]) == 2
    assert hint in capsys.readouterr().err
