"""Curves: read once, thinned without losing a peak, and put into words."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from tunesmith.runs.run import Run
from tunesmith.web import metrics
from tunesmith.web.diagnosis import diagnose, of_evaluation, of_loss
from tunesmith.web.metrics import Columns, MetricsFile, Series, fewer, last_rows, thinned


def write(path: Path, rows: list[dict[str, object]], mode: str = "w") -> None:
    with path.open(mode, encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def report(step: int, attempt: int = 1, **values: float | None) -> dict[str, object]:
    return {"step": step, "attempt": attempt, "time": float(step), "learning_rate": 1e-4, **values}


def values_of(columns: Columns, name: str = "loss") -> list[tuple[int, float]]:
    steps, values = columns.series[name].between(None, None)
    return list(zip(steps.tolist(), values.tolist(), strict=True))


@pytest.mark.parametrize("at_once", [1 << 40, 1])
def test_reading_by_rows_and_at_once_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(metrics, "_AT_ONCE", at_once)
    path = tmp_path / "metrics.jsonl"
    rows = [report(step, loss=10.0 / step, tokens=step * 100) for step in range(1, 200)]
    rows[49]["loss"] = None
    rows.insert(100, {"step": 100, "attempt": 1, "time": 1.0, "eval_loss": 0.5})
    write(path, rows)
    columns = MetricsFile(path).columns()
    loss = values_of(columns)
    assert len(loss) == 199 and loss[0] == (1, 10.0) and math.isnan(loss[49][1])
    assert values_of(columns, "eval_loss") == [(100, 0.5)]
    assert values_of(columns, "tokens")[-1] == (199, 19900.0)


def test_only_what_is_new_is_read_and_retaken_steps_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, [report(step, loss=float(step)) for step in range(1, 11)])
    file = MetricsFile(path)
    columns = file.columns()
    with path.open("a", encoding="utf-8") as growing:
        growing.write('{"step": 11, "attempt": 1, "lo')  # half a line
    before = columns.offset
    assert file.columns().offset == before
    with path.open("a", encoding="utf-8") as growing:
        growing.write('ss": 11.0, "time": 0}\n')
    assert values_of(file.columns())[-1] == (11, 11.0)
    write(path, [report(6, attempt=2, loss=0.5)], "a")
    assert values_of(file.columns()) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 5.0), (6, 0.5)]


def test_a_file_that_was_started_afresh_is_read_afresh(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, [report(step, loss=1.0) for step in range(1, 50)])
    file = MetricsFile(path)
    file.columns()
    write(path, [report(1, loss=2.0)])
    assert values_of(file.columns()) == [(1, 2.0)]


def test_the_file_of_another_run_is_read_afresh_though_it_has_grown(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    (tmp_path / "state.json").write_text('{"created": 1.0}', encoding="utf-8")
    write(path, [report(1, loss=1.0)])
    file = MetricsFile(path)
    file.columns()
    (tmp_path / "state.json").write_text('{"created": 2.0}', encoding="utf-8")
    write(path, [report(step, loss=2.0) for step in (1, 2, 3)])  # the inode is the same
    assert values_of(file.columns()) == [(1, 2.0), (2, 2.0), (3, 2.0)]


def test_a_page_is_told_to_read_anew_where_another_run_took_the_folder(client: TestClient, workspace: Path) -> None:
    def run_of(loss: float, **more: bool) -> None:
        run = Run.create(Path("saves/a"), {}, "stage: sft\n", **more)
        run.begin_attempt()
        run.run_log(f"loss {loss}")
        for step in (1, 2):
            run.metric(step, loss=loss)
        run.finish("finished")

    def news(cursor: str) -> tuple[str, dict[str, object]]:
        told = client.get("/api/poll", params={"run": "saves/a", "cursor": cursor}).json()
        return told["cursor"], next((event["data"] for event in told["events"] if event["type"] == "run"), {})

    run_of(1.0)
    seen, log = client.get("/api/runs/saves/a/metrics").json(), client.get("/api/runs/saves/a/log").json()
    cursor = f"-.{seen['offset']}.{log['attempt']}.{log['offset']}"
    assert news(cursor)[1] == {}
    run_of(2.0, overwrite=True)  # its files are as long, and its attempt has the same number
    cursor, told = news(cursor)
    assert told["reload_metrics"] and told["reload_log"]
    assert client.get("/api/runs/saves/a/metrics").json()["series"]["loss"] == [[1, 2.0], [2, 2.0]]
    assert news(cursor)[1] == {}


def test_columns_that_are_looked_at_stay_while_others_read_on(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, [report(step, loss=1.0) for step in range(1, 51)])
    file = MetricsFile(path)
    before = file.columns()
    write(path, [report(step, attempt=2, loss=2.0, later=1.0) for step in range(11, 31)], "a")  # in the same places
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: file.columns(), range(32)))
    assert list(before.series) == ["learning_rate", "loss"]
    assert values_of(before) == [(step, 1.0) for step in range(1, 51)]
    taken_again = [(step, 1.0 if step < 11 else 2.0) for step in range(1, 31)]
    assert all(values_of(columns) == taken_again for columns in seen)


def test_thinning_keeps_ends_peaks_and_gaps() -> None:
    steps = np.arange(1, 100_001)
    values = np.sin(steps / 5000)
    values[33_333], values[66_666] = 50.0, -50.0
    values[77_777] = math.nan
    few_steps, few = fewer(steps, values, 500)
    assert len(few) <= 520
    assert few_steps[0] == 1 and few_steps[-1] == 100_000 and (np.diff(few_steps) > 0).all()
    assert 50.0 in few and -50.0 in few
    assert np.isnan(few[few_steps == 77_778]).all() and (few_steps == 77_778).any()


def test_a_range_is_thinned_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, [report(step, loss=float(step)) for step in range(1, 5001)])
    columns = MetricsFile(path).columns()
    assert len(thinned(columns, 100)["loss"]) <= 100
    part = thinned(columns, 100, first=1000, last=1050)["loss"]
    assert [step for step, _ in part] == list(range(1000, 1051))


def test_the_last_rows_are_read_from_the_end(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, [report(step, loss=float(step)) for step in range(1, 5001)])
    rows = last_rows(path, 2000)
    assert rows[-1]["step"] == 5000 and 1 < len(rows) < 50


def course(shape: str, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """A loss as it looks in a training: falling, with noise."""
    steps = np.arange(1, count + 1)
    noise = np.random.default_rng(0).normal(0, 0.04, count)
    falling = 1.2 + 2 * np.exp(-steps / (count / 4)) + noise
    if shape == "spike":
        falling[count // 2] = 7.0
    if shape == "nan":
        falling[count // 2] = math.nan
    if shape == "too high":
        falling = 2.5 + steps / count * 6 + 5 * noise
    if shape == "comes back up":
        falling[count * 2 // 3 :] += np.linspace(0, 1.5, count - count * 2 // 3)
    if shape == "flat":
        falling = 1.2 + 2 * np.exp(-steps / (count / 40)) + noise
    if shape == "still falling":
        falling = 3.2 - 2 * steps / count + noise
    return steps, falling


@pytest.mark.parametrize(
    ("shape", "signs"),
    [
        ("still falling", set()),
        ("spike", {"spike"}),
        ("nan", {"not_a_number"}),
        ("too high", {"rate_too_high"}),
        ("comes back up", {"diverging"}),
        ("flat", {"plateau"}),
    ],
)
def test_a_course_is_put_into_words(shape: str, signs: set[str]) -> None:
    steps, values = course(shape)
    assert {word.sign for word in of_loss(steps, values)} == signs


def test_a_word_names_its_step() -> None:
    assert of_loss(*course("spike"))[0].step == 201
    assert of_loss(*course("nan"))[0].step == 201


def test_little_is_said_of_little() -> None:
    assert of_loss(np.arange(1, 6), np.array([3.0, 9.0, 1.0, 5.0, 2.0])) == []


def test_learning_by_heart_names_the_best_checkpoint() -> None:
    steps = np.arange(100, 1100, 100)
    values = np.array([2.0, 1.5, 1.2, 1.0, 1.05, 1.15, 1.25, 1.4, 1.5, 1.7])
    (word,) = of_evaluation(steps, values, [200, 350, 600])
    assert word.sign == "overfitting" and word.step == 400 and word.values["checkpoint"] == 350
    assert "checkpoint 350" in word.fix
    (word,) = of_evaluation(steps, np.sort(values)[::-1], [])
    assert word.sign == "good"
    assert of_evaluation(steps, np.full(10, 1.0), []) == []


def said_of(loss: list[float], eval_loss: dict[int, float], rate: float = 1e-4) -> list[str]:
    def series(steps: list[int], values: list[float]) -> Series:
        return Series(np.array(steps, np.int64), np.array(values))

    steps = list(range(1, len(loss) + 1))
    named = {"loss": series(steps, loss), "learning_rate": series(steps, [rate] * len(loss))}
    named["eval_loss"] = series(list(eval_loss), list(eval_loss.values()))
    return [word.sign for word in diagnose(Columns(named, 0, None))]


def test_what_the_learning_rate_did_is_not_blamed_on_the_data_or_called_good() -> None:
    blown = [3.6, 3.4, 9.0, 39.7, 21.0, 12.0, 9.1, 7.9, 7.2, 6.9, 6.6, 6.5, 6.3, 6.2, 6.1]
    blown += [6.0, 6.0, 5.9, 5.9, 5.8, 5.8, 5.7, 5.7, 5.6, 5.5, 5.5, 5.4, 5.4]
    assert said_of(blown, {7: 8.9, 14: 6.6, 21: 5.9, 28: 5.6}, 0.02) == ["rate_too_high"]
    at_once = [3.6, 39.7, *blown[4:]]  # the second report is far up already
    assert said_of(at_once, {}, 0.02) == ["rate_too_high"]
    mended = [3.6, 3.4, 14.0, 11.0, 7.0, 5.0, *np.linspace(3.2, 2.0, 30)]
    assert said_of(mended, {12: 3.4, 24: 2.6, 36: 2.1}) == ["early_jump"]
    one_high = [3.6, 3.4, 14.0, 3.4, 3.3, 3.2, *np.linspace(3.2, 2.0, 30)]
    assert said_of(one_high, {}, 0.01) == ["early_jump"]
    assert said_of(one_high, {}, 1e-5) == []
    long = [*mended[:6], *np.linspace(3.2, 2.0, 94)]  # its jump is over when a twentieth is
    assert said_of(long, {33: 3.4, 66: 2.6, 100: 2.1}) == ["early_jump"]
    assert said_of(long, {20: 2.0, 40: 2.4, 60: 2.9, 80: 3.3, 100: 3.8}) == ["overfitting", "early_jump"]


def test_one_hard_batch_of_a_loss_near_zero_is_not_blamed_on_the_learning_rate() -> None:
    assert "early_jump" not in said_of([*[0.10] * 5, 0.35, *[0.10] * 30], {}, 1e-3)


def test_it_is_not_told_to_stop_and_to_go_on_at_once() -> None:
    flat = [*np.linspace(3.0, 1.2, 30), *([1.2] * 70)]
    assert said_of(flat, {25: 2.0, 50: 1.5, 75: 1.4, 100: 1.3}) == ["good"]
    assert said_of(flat, {25: 2.0, 50: 1.3, 75: 1.3, 100: 1.2999}) == ["plateau"]
    assert said_of(flat, {20: 2.0, 40: 1.2, 60: 1.3, 80: 1.4, 100: 1.5}) == ["overfitting"]


def trained(name: str, reports: int) -> Run:
    run = Run.create(Path(name), {"stage": "sft"}, f"stage: sft\nlearning_rate: {reports / 1e5}\n")
    run.begin_attempt()
    run.update(steps=reports)
    for step in range(1, reports + 1):
        run.metric(step, loss=3.0 / step, learning_rate=1e-4)
    run.run_log("epoch 1 done")
    run.run_log("第二行 saved")
    return run


def test_the_page_follows_a_run_by_its_cursor(client: TestClient, workspace: Path) -> None:
    run = trained("saves/a", 50)
    curves = client.get("/api/runs/saves/a/metrics?points=20").json()
    assert len(curves["series"]["loss"]) <= 20 and curves["total"]["loss"] == 50
    log = client.get("/api/runs/saves/a/log").json()
    assert log["lines"][-1] == "第二行 saved"
    assert client.get("/api/runs/saves/a/log?query=SAVED").json()["lines"] == ["第二行 saved"]

    cursor = f"-.{curves['offset']}.{log['attempt']}.{log['offset']}"
    first = client.get("/api/poll", params={"run": "saves/a", "cursor": cursor}).json()
    assert [event["type"] for event in first["events"]] == ["runs"]
    assert client.get("/api/poll", params={"run": "saves/a", "cursor": first["cursor"]}).json()["events"] == []

    run.metric(51, loss=0.01)
    run.run_log("more")
    news = client.get("/api/poll", params={"run": "saves/a", "cursor": first["cursor"]}).json()
    event = next(event["data"] for event in news["events"] if event["type"] == "run")
    assert [row["step"] for row in event["metrics"]] == [51] and event["log"] == ["more"]


def test_a_page_that_fell_far_behind_loads_anew(client: TestClient, workspace: Path) -> None:
    trained("saves/a", 2000)
    news = client.get("/api/poll", params={"run": "saves/a", "cursor": "-.0.1.0"}).json()
    event = next(event["data"] for event in news["events"] if event["type"] == "run")
    assert event["reload_metrics"] and "metrics" not in event


def test_a_cursor_of_nobody_is_refused(client: TestClient) -> None:
    assert client.get("/api/poll?cursor=nonsense").status_code == 400


def test_runs_are_listed_tagged_searched_compared_and_deleted(client: TestClient, workspace: Path) -> None:
    for name, reports in (("saves/a", 10), ("saves/b", 20)):
        trained(name, reports).finish("finished")
    (workspace / "saves" / "a" / "notes-of-mine.txt").write_text("mine", encoding="utf-8")
    tagged = "/api/runs/saves/b/tags"
    assert client.put(tagged, json={"tags": ["old", " old ", "best"]}).json()["tags"] == ["old", "best"]
    two_tabs = ({"tags": ["best"], "seen": ["old", "best"]}, {"tags": ["old", "best", "中文"], "seen": ["old", "best"]})
    assert [client.put(tagged, json=one).json()["tags"] for one in two_tabs] == [["best"], ["best", "中文"]]
    assert [run["id"] for run in client.get("/api/runs?query=BEST finished").json()] == ["saves/b"]
    assert [run["id"] for run in client.get("/api/runs?tag=中文").json()] == ["saves/b"]
    compared = client.get("/api/compare?runs=saves/a&runs=saves/b").json()
    assert [row["key"] for row in compared["config"]] == ["learning_rate"]
    assert compared["metrics"]["loss"] == [0.3, 0.15] and len(compared["series"]["loss"][1]) == 20
    told = client.get("/api/runs/saves/a/metrics.csv")
    lines = told.text.splitlines()
    assert lines[0] == "step,learning_rate,loss" and len(lines) == 11
    assert told.headers["content-disposition"].endswith("''a.csv")
    both = client.get("/api/compare.csv?runs=saves/a&runs=./saves/b").text.splitlines()
    assert both[:2] == ["run,step,learning_rate,loss", "saves/a,1,0.0001,3.0"] and len(both) == 31
    assert both[-1].startswith("saves/b,20,")  # runs of one name in several folders are told apart
    detail = client.get("/api/runs/saves/a").json()
    assert detail["last"]["loss"] == 0.3 and detail["config"]["stage"] == "sft"

    assert client.delete("/api/runs/saves/a").status_code == 204
    assert [path.name for path in (workspace / "saves" / "a").iterdir()] == ["notes-of-mine.txt"]
    assert client.get("/api/runs/saves/a").status_code == 404
    assert client.delete("/api/runs/saves/b").status_code == 204
    assert not (workspace / "saves" / "b").exists()


def test_a_killed_run_says_how_far_it_came_and_whether_anything_can_be_done_with_it(
    client: TestClient, workspace: Path
) -> None:
    run = trained("saves/a", 4)
    run.finish("killed")
    state = json.loads(run.layout.state.read_text(encoding="utf-8"))
    run.layout.state.write_text(json.dumps(state | {"step": 3, "steps": 200}), encoding="utf-8")
    told = client.get("/api/runs/saves/a").json()["summary"]
    assert (told["status"], told["step"], told["progress"], told["usable"]) == ("killed", 4, 0.02, False)
    run.layout.adapter_config.write_text("{}", encoding="utf-8")
    (run.path / "adapter_model.safetensors").write_bytes(b"weights")
    run.finish("killed")
    assert client.get("/api/runs/saves/a").json()["summary"]["usable"]


def test_a_run_at_work_is_not_deleted(client: TestClient, workspace: Path) -> None:
    trained("saves/a", 3)
    assert client.delete("/api/runs/saves/a").status_code == 409
    assert client.post("/api/runs/saves/a/stop").json()["status"] == "stopping"


def test_half_a_line_of_the_log_waits_for_its_end(client: TestClient, workspace: Path) -> None:
    run = Run.create(Path("saves/a"), {}, "stage: sft\n")
    run.begin_attempt()
    run.run_log("whole")
    with run.layout.attempt_log(1).open("a", encoding="utf-8") as log:
        log.write("ha")
    told = client.get("/api/runs/saves/a/log").json()
    assert told["lines"] == ["whole"] and told["offset"] == len("whole\n")
    run.finish("finished")


def test_what_others_left_damaged_is_passed_over(client: TestClient, workspace: Path) -> None:
    run = Run.create(Path("saves/a"), {}, "export_dir: exports/a\n", kind="export")
    with run.layout.samples.open("w", encoding="utf-8") as samples:
        samples.write('{"text": "\\ud83d"}\n')
    assert client.get("/api/runs/saves/a/samples").json()["samples"] == [{"text": "?"}]
    (workspace / "exports" / "a").mkdir(parents=True)
    quality = {"files": [5, {"file": 1}, {"file": "m.gguf", "status": "pass"}]}
    (workspace / "exports" / "a" / "quality.json").write_text(json.dumps(quality), encoding="utf-8")
    assert [row["file"] for row in client.get("/api/runs/saves/a/exported").json()["verified"]] == ["m.gguf"]
    assert client.get("/api/runs/saves/a/exported").json()["model"] == ""
    for name in ("m-f16.gguf", "m-lora.gguf", "m-q8_0.gguf", "Modelfile"):
        (workspace / "exports" / "a" / name).touch()
    told = client.get("/api/runs/saves/a/exported").json()
    assert told["model"] == "exports/a/m-q8_0.gguf" and told["ollama"].startswith("ollama create a -f ")
    for damaged in ("- a list\n", "a: [1\n", "\x00"):
        run.layout.resolved.write_text(damaged, encoding="utf-8")
        assert client.get("/api/runs/saves/a/exported").status_code == 404
        assert client.get("/api/runs/saves/a").json()["config"] == {}
