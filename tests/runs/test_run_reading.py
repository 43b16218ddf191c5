from pathlib import Path

import pytest

from tunesmith.errors import UserError
from tunesmith.runs.files import JsonlTail, append_line
from tunesmith.runs.read import RunReader, compare, curve, find_run, list_runs, seconds_left
from tunesmith.runs.run import Run
from tunesmith.runs.state import RunState


def test_a_tail_gives_whole_lines_once_and_survives_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = JsonlTail(path)
    assert tail.read_new() == []
    path.write_bytes(b'{"step": 1}\n{"st')
    assert tail.read_new() == [{"step": 1}]
    assert tail.read_new() == []
    with path.open("ab") as file:
        file.write('ep": 2}\n\nrubbish\n[3]\n{"text": "乙"}\n'.encode())
    assert tail.read_new() == [{"step": 2}, {"text": "乙"}]
    assert tail.skipped == 2
    assert JsonlTail(path, tail.offset).read_new() == []
    path.write_bytes(b'{"step": 9}\n')
    assert tail.read_new() == [{"step": 9}]


def test_a_line_after_a_half_line_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"kind": "chec')
    append_line(path, {"kind": "resumed"})
    assert JsonlTail(path).read_new() == [{"kind": "resumed"}]


def test_runs_are_listed_newest_first_without_looking_into_them(tmp_path: Path) -> None:
    older = Run.create(tmp_path / "qwen" / "lora" / "one", {}, {})
    newer = Run.create(tmp_path / "qwen" / "full" / "two", {}, {})
    Run.create(older.path / "inner", {}, {})
    assert [run.path for run in list_runs(tmp_path)] == [newer.path, older.path]
    assert list_runs(tmp_path / "nowhere") == []


def test_without_a_root_the_runs_of_saves_and_of_the_present_folder_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = ["demo/run", "saves/a/b/c/d", "out"]
    for path in [*runs, "x/too/far/down", ".cache/run"]:
        Run.create(Path(path), {}, {})
    Path("web").mkdir()
    Path("web/state.json").write_text('{"status": "running"}', encoding="utf-8")  # not one of ours
    assert {str(run.path) for run in list_runs()} == set(runs)
    assert find_run("last").path == Path("out") and find_run("run").path == Path("demo/run")


def test_a_run_is_found_by_folder_by_end_of_path_and_as_last(tmp_path: Path) -> None:
    first = Run.create(tmp_path / "qwen" / "lora" / "one", {}, {})
    second = Run.create(tmp_path / "llama" / "lora" / "one", {}, {})
    third = Run.create(tmp_path / "llama" / "lora" / "two", {}, {})
    assert find_run(str(first.path), tmp_path).path == first.path
    assert find_run("two", tmp_path).path == third.path
    assert find_run("last", tmp_path).path == third.path
    assert find_run("llama/lora/one", tmp_path).path == second.path
    with pytest.raises(UserError, match="several runs"):
        find_run("one", tmp_path)
    with pytest.raises(UserError) as missing:
        find_run("twoo", tmp_path)
    assert "Did you mean two" in missing.value.hint


def test_steps_taken_again_after_a_resume_are_shown_once(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", {}, {})
    run.begin_attempt()
    for step in (1, 2, 3, 4):
        run.metric(step, loss=1.0)
    run.metric(4, eval_loss=1.0)
    again = Run.open(run.path)
    again.begin_attempt(from_step=2)
    for step in (3, 4):
        again.metric(step, loss=2.0)
    again.metric(4, eval_loss=2.0)
    points = RunReader(run.path).metrics()
    assert [(point["step"], point.get("loss"), point.get("eval_loss")) for point in points] == [
        (1, 1.0, None), (2, 1.0, None), (3, 2.0, None), (4, 2.0, None), (4, None, 2.0),
    ]  # fmt: skip


def test_smoothing_starts_at_the_first_value_and_lags_behind() -> None:
    points = [{"step": step, "loss": loss} for step, loss in ((1, 4.0), (2, 2.0), (3, 2.0))] + [{"step": 4}]
    drawn = curve(points, smoothing=0.5)
    assert [point.step for point in drawn] == [1, 2, 3]
    assert drawn[0].smoothed == 4.0
    # By hand: (0.25·4 + 0.5·2) / 0.75, then (0.125·4 + 0.25·2 + 0.5·2) / 0.875.
    assert drawn[1].smoothed == pytest.approx(8 / 3)
    assert drawn[2].smoothed == pytest.approx(2 / 0.875)
    assert [point.smoothed for point in curve(points, smoothing=0.0)] == [4.0, 2.0, 2.0]


def test_compare_names_what_differs() -> None:
    differences = compare({"seed": 1, "lr": 0.1, "stage": "sft"}, {"seed": 2, "stage": "sft", "packing": True})
    assert [(row.key, row.values) for row in differences] == [
        ("seed", (1, 2)),
        ("lr", (0.1, None)),
        ("packing", (None, True)),
    ]


def test_the_time_left_follows_the_pace_of_the_last_reports() -> None:
    points = [{"step": step, "time": 100.0 + 2 * step, "loss": 1.0} for step in range(1, 6)]
    assert seconds_left(RunState(status="running", step=5, steps=20), points) == pytest.approx(30.0)
    assert seconds_left(RunState(status="finished", step=20, steps=20), points) is None
    assert seconds_left(RunState(status="running", step=1, steps=20), points[:1]) is None


def test_the_time_left_is_that_of_this_attempt() -> None:
    """Ten steps of 0.5 s, an hour later two more of 0.5 s: four steps are left, so 2 s."""
    first = [{"step": step, "attempt": 1, "time": 100.0 + step / 2, "loss": 1.0} for step in range(1, 15)]
    second = [{"step": step, "attempt": 2, "time": 3600.0 + step / 2, "loss": 1.0} for step in (15, 16)]
    resumed = RunState(status="running", attempt=2, step=16, steps=20, started=3590.0)
    assert seconds_left(resumed, [*first, *second]) == pytest.approx(2.0)
    assert seconds_left(resumed, [*first, *second[:1]]) is None
    late = RunState(status="running", attempt=2, step=14, steps=20, started=3590.0)
    assert seconds_left(late, [*first, *second]) == pytest.approx(2.0), "a report may be ahead of the state"


def test_the_time_left_of_stages_follows_what_they_took() -> None:
    export = RunState(
        kind="export", status="running", stage="writing x", step=25, steps=100, started=100.0, heartbeat=110.0
    )
    assert seconds_left(export, []) == pytest.approx(30.0)
