"""An evaluation is a run: on the right rows, with LLaMA-Factory's files, ended and gone on with at any moment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.conftest import HELD_BACK, ROWS, lines, results

from tunesmith.cli.main import main
from tunesmith.config.load import load_job
from tunesmith.errors import UserError
from tunesmith.runs.read import RunReader

Evaluated = Callable[..., Path]
SCORES = {"bleu-4", "rouge-1", "rouge-2", "rouge-l", "exact_match"}


def test_the_rows_that_were_held_back_and_their_loss(evaluated: Evaluated, trained: Path) -> None:
    run = evaluated()
    found, told = lines(run), results(run)
    for name in ("eval_loss", "eval_perplexity", "eval_accuracy"):
        assert told[name] == pytest.approx(results(trained, "eval")[name], rel=1e-5), "as at the end of the training"
    assert len(found) == HELD_BACK
    places = [int(row["place"].removeprefix("rows.jsonl:")) - 1 for row in found]
    assert [row["label"] for row in found] == [ROWS[at]["output"] for at in places]
    assert all(ROWS[at]["instruction"] in row["prompt"] for row, at in zip(found, places, strict=True))
    assert all(row["prompt"].endswith("<|im_start|>assistant\n") for row in found), "as in training, up to the answer"
    assert told["predict_bleu-4"] == pytest.approx(sum(row["scores"]["bleu-4"] for row in found) / HELD_BACK)
    state = RunReader(run).state()
    assert (state.kind, state.status, state.step, state.steps) == ("eval", "finished", HELD_BACK, HELD_BACK)


def test_rows_that_were_trained_on_do_not_become_held_back_ones(evaluated: Evaluated) -> None:
    places = [row["place"] for row in lines(evaluated())]
    again = evaluated(seed=1, overwrite_output_dir=True)
    assert [row["place"] for row in lines(again)] == places, "another seed draws other answers to the same questions"
    with pytest.raises(UserError, match="max_samples decides which rows were held back"):
        evaluated(max_samples=3)


def test_answers_are_those_of_the_chat(evaluated: Evaluated, trained: Path) -> None:
    import tunesmith

    model = tunesmith.load(trained)
    asked = lines(evaluated(per_device_eval_batch_size=4))
    assert [row["predict"] for row in asked] == [model.chat(row["messages"][-1]["content"]) for row in asked]


PREDICT = """\
### model
model_name_or_path: {model}
adapter_name_or_path: {adapter}
trust_remote_code: true
### method
stage: sft
do_predict: true
finetuning_type: lora
### dataset
eval_dataset: {data}
template: chatml
cutoff_len: 2048
max_samples: 5
preprocessing_num_workers: 16
dataloader_num_workers: 4
### output
output_dir: {out}
overwrite_output_dir: true
report_to: none
### eval
per_device_eval_batch_size: 1
predict_with_generate: true
ddp_timeout: 180000000
"""


def test_llamafactorys_file_runs_unchanged_and_leaves_its_files(
    trained: Path, rows_file: Path, tiny_model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    config, out = tmp_path / "predict.yaml", tmp_path / "predict"
    text = PREDICT.format(model=tiny_model_dir("llama"), adapter=trained, data=rows_file, out=out)
    config.write_text(text, encoding="utf-8")
    assert main(["train", str(config), "max_new_tokens=6"]) == 0
    found = lines(out)
    assert len(found) == 5 and all({"prompt", "predict", "label"} <= row.keys() for row in found)
    keys = {"predict_bleu-4", "predict_rouge-1", "predict_rouge-2", "predict_rouge-l", "predict_runtime"}
    keys |= {"predict_samples_per_second", "predict_steps_per_second"}
    assert keys <= results(out, "predict").keys() and results(out, "all") == results(out, "predict")
    assert not (out / "eval_results.json").exists(), "the loss was not asked for"
    assert main(["train", str(config), "max_new_tokens=2", "max_samples=2"]) == 0, "overwrite_output_dir"
    assert len(lines(out)) == 2


def test_do_eval_without_do_train_evaluates_the_loss_alone(
    trained: Path, rows_file: Path, tiny_model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    given = [f"model_name_or_path={tiny_model_dir('llama')}", f"eval_dataset={rows_file}", "do_eval=true"]
    out = tmp_path / "loss"
    assert main(["train", *given, f"output_dir={out}", "infer_dtype=float32"]) == 0
    told = results(out, "eval")
    assert told["eval_loss"] > 3 and {"eval_runtime", "eval_samples_per_second"} <= told.keys()
    assert not (out / "generated_predictions.jsonl").exists() and not (out / "model.safetensors").exists()
    assert RunReader(out).state().steps == len(ROWS)


def test_plain_text_has_a_loss_without_any_template(
    tiny_model_dir: Callable[..., Path], tmp_path: Path, evaluated: Evaluated
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The quick brown fox jumps over the lazy dog.\n" * 20, encoding="utf-8")
    model = tiny_model_dir("llama")
    with pytest.raises(UserError, match="plain text, which asks nothing"):
        evaluated(model, text, stage="pt")
    run = evaluated(model, text, stage="pt", predict_with_generate=False)
    assert results(run)["eval_perplexity"] > 1


def test_the_base_model_beside_the_tuned_one(
    evaluated: Evaluated, tiny_model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    both = lines(evaluated(predict_base=True))
    data = tmp_path / "same.jsonl"
    rows = [{"instruction": row["messages"][-1]["content"], "output": row["label"]} for row in both]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    same = {"max_new_tokens": 12, "do_sample": False, "infer_dtype": "float32", "template": None}
    alone = lines(evaluated(tiny_model_dir("llama"), data, output_dir=str(tmp_path / "base"), **same))
    assert [row["base"] for row in both] == [row["predict"] for row in alone]
    assert [row["base_scores"] for row in both] == [row["scores"] for row in alone]
    assert all(row["base"] != row["predict"] for row in both)
    with pytest.raises(UserError, match="there is no adapter"):
        evaluated(tiny_model_dir("llama"), data, predict_base=True)


def test_the_last_turn_is_asked_with_all_before_it_and_calls_are_spelled(evaluated: Evaluated, tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Call it."},
    ]  # fmt: skip
    call = {"function": {"name": "search", "arguments": {"q": "x"}}}
    rows = [
        {"messages": [*turns, {"role": "assistant", "content": "Done."}]},
        {"messages": [*turns, {"role": "assistant", "content": "", "tool_calls": [call]}]},
    ]
    data = tmp_path / "turns.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    first, second = lines(evaluated(dataset=data, template="qwen"))
    assert [turn["content"] for turn in first["messages"]] == ["Be brief.", "Hi", "Hello.", "Call it."]
    assert first["label"] == "Done." and "Hello." in first["prompt"] and "Done." not in first["prompt"]
    assert '"name": "search"' in second["label"]


def test_a_question_that_does_not_fit_is_told_and_not_scored(evaluated: Evaluated, tmp_path: Path) -> None:
    data = tmp_path / "long.jsonl"
    rows = [{"instruction": "Why? " * 200, "output": "So."}, {"instruction": "Why?", "output": "So."}]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run = evaluated(dataset=data)
    failed, fine = lines(run)
    assert "this model takes 256" in failed["error"] and "scores" not in failed and "scores" in fine
    told = results(run)
    assert (told["predict_samples"], told["predict_answered"]) == (2, 1)
    assert told["predict_bleu-4"] == fine["scores"]["bleu-4"]


def start(trained: Path, data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """A long evaluation in a process of its own: answers drawn at random, one question at a time."""
    given = [f"output_dir={out}", "do_sample=true", "per_device_eval_batch_size=1", "max_new_tokens=120", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "tunesmith", "eval", str(trained), "--dataset", str(data), *given],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), env=dict(os.environ),
    )  # fmt: skip


def wait_for_lines(out: Path, number: int, process: subprocess.Popen[str]) -> None:
    path, deadline = out / "generated_predictions.jsonl", time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if path.is_file() and path.read_bytes().count(b"\n") >= number:
            return
        time.sleep(0.02)
    raise AssertionError(f"not so many answers: {process.communicate()[0]}")


def test_killed_or_interrupted_it_goes_on_and_asks_nothing_twice(
    trained: Path, rows_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "broken"
    process = start(trained, rows_file, out)
    wait_for_lines(out, 2, process)
    process.kill()
    process.wait()
    state = RunReader(out).state()
    assert state.status == "killed" and f"runs resume {out}" in (state.error or {})["hint"]
    loss = results(out, "eval")
    with (out / "generated_predictions.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"prompt": "half a li')

    before = len(lines_whole(out))
    process = start(trained, rows_file, out)
    wait_for_lines(out, before + 3, process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and "Traceback" not in said
    assert RunReader(out).state().status == "stopped"
    told = results(out)
    assert 2 < told["predict_answered"] < told["predict_samples"] == len(ROWS), (
        "scores of what there is, and it says so"
    )
    assert f"of {len(ROWS)} questions" in said

    assert main(["runs", "resume", str(out)]) == 0
    found = lines_whole(out)
    assert sorted(row["index"] for row in found) == list(range(len(ROWS)))
    assert results(out, "eval") == loss, "what was evaluated stays"
    assert RunReader(out).state().status == "finished"
    again = evaluate_whole(trained, rows_file, tmp_path / "whole")
    drawn = {row["index"]: row["predict"] for row in found}
    assert {row["index"]: row["predict"] for row in again} == drawn, "chance is a function of seed and question"


def lines_whole(run: Path) -> list[dict[str, Any]]:
    found = []
    for line in (run / "generated_predictions.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def evaluate_whole(trained: Path, data: Path, out: Path) -> list[dict[str, Any]]:
    """The same evaluation in one go."""
    from tunesmith.jobs import evaluate

    files, given = evaluate.configuration(str(trained), None, str(data))
    keys = {"output_dir": str(out), "do_sample": True, "per_device_eval_batch_size": 1, "max_new_tokens": 120}
    return lines(evaluate.evaluate(load_job(files, {**given, **keys}, verb="eval")))


def test_a_stop_file_ends_it_and_the_folder_keeps_to_its_settings(
    evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tunesmith.evaluation import predict
    from tunesmith.jobs import evaluation_watch

    def stop_after_the_first(path: Path, record: dict[str, Any]) -> None:
        original(path, record)
        path.with_name("stop").touch()

    original = predict.append_line
    monkeypatch.setattr(evaluation_watch, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(predict, "append_line", stop_after_the_first)
    with pytest.raises(KeyboardInterrupt):
        evaluated(per_device_eval_batch_size=1, max_new_tokens=200)
    out = tmp_path / "evaluated"
    assert RunReader(out).state().status == "stopped" and 1 <= len(lines(out)) < HELD_BACK
    monkeypatch.setattr(predict, "append_line", original)
    with pytest.raises(UserError, match="answers of an evaluation with other settings"):
        evaluated(per_device_eval_batch_size=1, max_new_tokens=3)
    evaluated(per_device_eval_batch_size=1, max_new_tokens=200)
    assert sorted(row["index"] for row in lines(out)) == list(range(HELD_BACK))


def test_a_second_process_does_not_mark_the_run_of_the_first_as_failed(
    rows_file: Path, tiny_model_dir: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.jobs import evaluate
    from tunesmith.runs import run as runs

    _, keys = evaluate.configuration(str(tiny_model_dir("llama")), None, str(rows_file))
    resolved = load_job([], {**keys, "output_dir": str(tmp_path / "one")}, verb="eval")
    second = runs.Run.open(evaluate.queue(resolved).root)
    runs.Run.open(second.path).begin_attempt()
    monkeypatch.setattr(runs.os, "getpid", lambda: -1)
    monkeypatch.setattr(evaluate, "_open_run", lambda resolved: second)
    with pytest.raises(UserError, match="A run is at work"):
        evaluate.evaluate(resolved)
    assert RunReader(second.path).state().status == "running"


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def end_early(run: Path) -> None:
    state = json.loads((run / "state.json").read_text(encoding="utf-8"))
    (run / "state.json").write_text(json.dumps({**state, "status": "stopped"}), encoding="utf-8")


def test_what_is_of_changed_data_or_of_a_changed_model_does_not_count(
    evaluated: Evaluated, trained: Path, tmp_path: Path
) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(trained, adapter)
    data = write_rows(tmp_path / "mine.jsonl", ROWS[:4])
    run = evaluated(adapter, data)
    first = results(run)
    end_early(run)
    write_rows(data, [ROWS[0], {**ROWS[1], "output": "Changed."}])
    evaluated(adapter, data)
    assert [row["index"] for row in lines(run)] == [0, 1] and lines(run)[1]["label"] == "Changed."
    second = results(run)
    assert (second["predict_samples"], second["predict_answered"]) == (2, 2)
    assert second["eval_loss"] != first["eval_loss"], "the loss is of the rows that are there now"
    end_early(run)
    os.utime(adapter / "adapter_model.safetensors", (1, 1))
    evaluated(adapter, data)
    assert "2 earlier answers are left out" in (run / "logs" / "attempt_3.log").read_text(encoding="utf-8")
    assert results(run)["eval_loss"] == second["eval_loss"] and len(lines(run)) == 2


def test_answers_after_a_training_that_asks_for_them(
    rows_file: Path, tiny_model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    given = {"model_name_or_path": tiny_model_dir("llama"), "dataset": rows_file, "val_size": 4, "max_steps": 2}
    given |= {"do_train": "true", "do_predict": "true", "output_dir": run, "max_new_tokens": 4, "use_cpu": "true"}
    assert main(["train", *(f"{key}={value}" for key, value in given.items())]) == 0
    beside = tmp_path / "run_predict"
    assert (run / "adapter_model.safetensors").is_file() and len(lines(beside)) == 4
    resolved = (beside / "resolved.yaml").read_text(encoding="utf-8")
    assert f"adapter_name_or_path: [{run}]" in resolved


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--no-predict"], "There is nothing to evaluate on"),
        (["--dataset", "no/such.jsonl"], "There is no data set or file"),
        (["--dataset", "rows", "--task", "mmlu_test"], "benchmarks such as MMLU are not in this version"),
        (["--dataset"], "--dataset needs a value"),
        (["--dataset", "rows", "num_beams=4"], "not found by beam search"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(
    arguments: list[str], said: str, tiny_model_dir: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", str(tiny_model_dir("llama")), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_from_python(trained: Path, rows_file: Path, tmp_path: Path) -> None:
    import tunesmith

    done = tunesmith.evaluate(trained, dataset=rows_file, max_samples=3, output_dir=str(tmp_path / "py"))
    assert done.results["eval_loss"] > 0 and [row["index"] for row in done.predictions()] == [0, 1, 2]
    with pytest.raises(tunesmith.UserError, match="only evaluates"):
        tunesmith.train(model_name_or_path="m", eval_dataset=str(rows_file), do_predict=True)
