import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tunesmith.cli.main import main
from tunesmith.cli.plot import draw
from tunesmith.cli.runs import _parser
from tunesmith.runs.layout import complete_marker
from tunesmith.runs.run import Run


def trained(path: Path, *, seed: int = 1, loss: float = 0.5, status: str = "finished") -> Run:
    """A run of ten steps whose loss falls to `loss`."""
    run = Run.create(path, {"stage": "sft"}, f"stage: sft\nseed: {seed}\nlearning_rate: 0.0001\n")
    run.begin_attempt()
    run.update(steps=10)
    for step in range(1, 11):
        run.metric(step, loss=loss + (10 - step) / 5, learning_rate=1e-4)
    run.metric(10, eval_loss=loss + 0.25)
    run.update(step=10, epoch=1.0)
    run.finish(status)  # type: ignore[arg-type]
    return run


def test_an_empty_list_says_where_it_looked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "list", "--root", str(tmp_path)]) == 0
    assert str(tmp_path) in capsys.readouterr().out


def test_the_list_has_a_line_per_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path / "older")
    trained(tmp_path / "newer", loss=0.25, status="stopped")
    assert main(["runs", "list", "--root", str(tmp_path)]) == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert "newer" in first and "stopped" in first and "10/10" in first and "0.25" in first
    assert "older" in second and "finished" in second and "0.75" in second


def test_the_demos_run_is_listed_from_the_folder_of_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["runs"]) == 0
    assert str(tmp_path) in capsys.readouterr().out
    trained(Path("demo/run"))
    for arguments in (["runs"], ["runs", "list"], ["runs", "--root", "demo"]):
        assert main(arguments) == 0
        assert "demo/run" in capsys.readouterr().out


def test_help_names_every_command_and_a_misspelled_one_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--help"]) == 0
    page = capsys.readouterr().out
    assert all(f"tunesmith runs {name}" in page for name in _parser()[1])
    assert main(["runs", "shwo"]) == 2
    assert "Did you mean show?" in capsys.readouterr().err


def test_show_draws_the_curve_and_names_the_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "r")
    run.layout.checkpoint(5).mkdir()
    complete_marker(run.layout.checkpoint(5)).touch()
    assert main(["runs", "show", str(run.path)]) == 0
    page = capsys.readouterr().out
    assert "finished · step 10/10 · epoch 1.00" in page
    assert "2.3" in page  # the highest loss, on the scale
    assert any(0x2800 < ord(letter) < 0x2900 for letter in page)
    assert "checkpoint-5" in page


def test_show_of_a_metric_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "r")
    assert main(["runs", "show", str(run.path), "--key", "eval_los"]) == 2
    assert "Did you mean eval_loss" in capsys.readouterr().err


def test_one_report_is_no_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.create(tmp_path / "r", {}, {})
    run.begin_attempt()
    run.metric(1, loss=2.5)
    assert main(["runs", "show", str(run.path)]) == 0
    page = capsys.readouterr().out
    assert "2.5" in page and "┤" not in page


def test_show_of_a_failed_run_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.create(tmp_path / "r", {}, "a: 1\n")
    run.begin_attempt()
    run.finish("failed", ValueError("loss is [NaN]"))
    assert main(["runs", "show", "last", "--root", str(tmp_path)]) == 0
    assert "ValueError: loss is [NaN]" in capsys.readouterr().out


def test_compare_shows_only_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path / "a", seed=1, loss=0.5)
    trained(tmp_path / "b", seed=2, loss=0.25)
    assert main(["runs", "compare", "a", "b", "--root", str(tmp_path)]) == 0
    page = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in page.splitlines() if line.split()}
    assert rows["seed"] == ["1", "2"]
    assert rows["loss"] == ["0.5", "0.25"]
    assert "stage" not in rows


def test_compare_tells_the_learning_rate_asked_for_from_the_last_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, rate in (("a", 1e-4), ("b", 2e-4)):
        run = Run.create(tmp_path / name, {}, f"learning_rate: {rate}\n")
        run.begin_attempt()
        run.metric(1, loss=1.0, learning_rate=rate / 10)
    assert main(["runs", "compare", "a", "b", "--root", str(tmp_path)]) == 0
    page = capsys.readouterr().out
    assert [line.split()[:2] for line in page.splitlines() if "learning_rate" in line] == [
        ["learning_rate", "0.0001"],
        ["last", "learning_rate"],
    ]  # fmt: skip


def test_stop_waits_until_the_run_has_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.create(tmp_path / "r", {}, "a: 1\n")
    run.begin_attempt()

    def train() -> None:
        while not run.stop_asked():
            time.sleep(0.02)
        run.update(step=3)
        run.finish("stopped")

    worker = threading.Thread(target=train)
    worker.start()
    assert main(["runs", "stop", str(run.path)]) == 0
    worker.join()
    page = capsys.readouterr().out
    assert "It is stopped at step 3." in page


def test_stopping_what_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "r")
    assert main(["runs", "stop", str(run.path)]) == 2
    assert "it is finished" in capsys.readouterr().err


def test_stopping_a_queued_run_that_no_process_works_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.create(tmp_path / "r", {}, "a: 1\n")
    assert main(["runs", "stop", str(run.path)]) == 2
    assert "nothing to stop" in capsys.readouterr().err
    assert not run.stop_asked()


def test_resuming_what_has_finished_tells_the_way_that_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path / "r")
    (run.path / "adapter_config.json").touch()
    (run.path / "adapter_model.safetensors").touch()
    assert main(["runs", "resume", str(run.path)]) == 2
    assert f"adapter_name_or_path: {run.path}" in capsys.readouterr().err
    checkpoint = run.layout.checkpoint(10)
    checkpoint.mkdir()
    (checkpoint / "training_state.safetensors").touch()
    complete_marker(checkpoint).touch()
    assert main(["runs", "resume", str(run.path)]) == 2
    told = capsys.readouterr().err
    assert "num_train_epochs" in told and "resume_from_checkpoint: true" in told


def test_resuming_without_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "r", status="stopped")
    run.layout.checkpoint(5).mkdir()  # never completed
    assert main(["runs", "resume", str(run.path)]) == 2
    told = capsys.readouterr().err
    assert "no complete checkpoint" in told
    assert "overwrite_output_dir=true" in told


def test_resuming_a_run_that_is_at_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r"
    program = (
        "import sys, time; from pathlib import Path; from tunesmith.runs.run import Run\n"
        "Run.create(Path(sys.argv[1]), {}, 'a: 1').begin_attempt(); print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert main(["runs", "resume", str(path)]) == 2
        assert "at work already" in capsys.readouterr().err
        other.kill()


def test_logs_of_the_last_attempt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.create(tmp_path / "r", {}, "a: 1\n")
    run.begin_attempt()
    for number in range(5):
        run.run_log(f"line {number} 乙")
    assert main(["runs", "logs", str(run.path), "-n", "2"]) == 0
    assert capsys.readouterr().out == "line 3 乙\nline 4 乙\n"


def test_a_falling_line_runs_from_the_upper_left_to_the_lower_right() -> None:
    lines = draw([1, 2, 3, 4], [4.0, 3.0, 2.0, 1.0], width=8, height=4)
    drawing = [line.split("┤")[1] for line in lines[:4]]
    assert lines[0].startswith("4 ┤") and lines[3].startswith("1 ┤")
    assert drawing[0][0] != "⠀" and drawing[3][-1] != "⠀"
    assert drawing[0][-1] == drawing[3][0] == "⠀"
    assert lines[4].split() == ["1", "4"]


def test_curves_with_little_to_show() -> None:
    assert draw([], []) == []
    for xs, ys in (([5], [1.0]), ([1, 2], [3.0, 3.0])):
        lines = draw(xs, ys, width=10, height=4)
        assert any(letter != "⠀" for line in lines[:4] for letter in line.split("┤")[1])


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["resume", "k9", "max_steps=8"], "takes no keys such as max_steps=8", "resume_from_checkpoint=true"),
        (["resume", "k9", "--detatch"], "`tunesmith runs resume` does not take --detatch.", "Did you mean --detach?"),
        (["logs", "mine", "--tail", "3"], "`tunesmith runs logs` does not take --tail.", "--lines"),
        (["logs", "mine", "-n", "few"], "invalid int value: 'few'", "tunesmith runs logs --help"),
        (["stop"], "required: RUN", "tunesmith runs stop --help"),
    ],
)
def test_mistakes_in_options_are_told_in_one_message(
    words: list[str], message: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", *words]) == 2
    told = capsys.readouterr().err
    assert told.startswith("Error: ") and len(told.splitlines()) == 2
    assert message in told and hint in told
