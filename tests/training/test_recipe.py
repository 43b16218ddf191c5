"""What a run leaves behind, evaluation, best model, early stopping, checkpoint limits, precision, the preflight."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.conftest import losses, train

Make = Callable[..., dict[str, Any]]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_what_a_run_leaves(settings: Make) -> None:
    run = train(settings(plot_loss=True, save_strategy="epoch"))
    for name in (
        "README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "all_results.json",
        "train_results.json", "trainer_log.jsonl", "metrics.jsonl", "events.jsonl", "samples.jsonl", "state.json",
        "env.json", "config.yaml", "resolved.yaml", "training_loss.png", "checkpoint-10/COMPLETE",
    ):  # fmt: skip
        assert (run / name).exists(), name
    assert (run / "training_loss.png").read_bytes().startswith(b"\x89PNG")
    card = (run / "README.md").read_text(encoding="utf-8")
    assert "library_name: peft" in card
    assert "learning_rate | 0.01" in card
    log = [json.loads(line) for line in (run / "trainer_log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {"current_steps", "total_steps", "loss", "lr", "epoch", "percentage"} <= set(log[0])
    assert not list(run.rglob("*.bin")) and not list(run.rglob("*.pt")) and not list(run.rglob("*.pth"))


def test_the_resolved_configuration_repeats_the_run(settings: Make, tmp_path: Path) -> None:
    from tunesmith.config.load import load_job
    from tunesmith.jobs import execute

    first = train(settings())
    again = load_job([first / "resolved.yaml"], {"output_dir": str(tmp_path / "again")}, verb="train")
    assert losses(execute.train(again)) == losses(first)


@pytest.mark.parametrize("save_only_model", [False, True])
def test_best_model_and_early_stopping(settings: Make, save_only_model: bool) -> None:
    """A learning rate that soon destroys the model: the best evaluation is an early one."""
    run = train(
        settings(
            val_size=8, eval_strategy="steps", eval_steps=2, save_strategy="steps", save_steps=2, learning_rate=0.3,
            lr_scheduler_type="constant", warmup_ratio=0.0, num_train_epochs=8.0, load_best_model_at_end=True,
            early_stopping_steps=2, save_total_limit=2, save_only_model=save_only_model,
        )
    )  # fmt: skip
    points = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    evaluated = {point["step"]: point["eval_loss"] for point in points if "eval_loss" in point}
    best = min(evaluated, key=lambda step: evaluated[step])
    assert best < max(evaluated)  # it went on, saw nothing better, and stopped
    assert max(point["step"] for point in points) < 64
    kept = load_file(run / "adapter_model.safetensors")
    chosen = load_file(run / f"checkpoint-{best}" / "adapter_model.safetensors")
    assert all(value.equal(chosen[name]) for name, value in kept.items())
    assert read(run / "eval_results.json")["eval_loss"] == evaluated[best]
    assert not (run / "COMPLETE").exists() and not list(run.glob("training_state*"))
    assert len(list(run.glob("checkpoint-*"))) <= 2


def test_several_evaluation_sets_are_told_apart(settings: Make, rows_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps(json.loads(rows_file.read_text(encoding="utf-8"))[:5]), encoding="utf-8")
    run = train(settings(eval_dataset=f"{rows_file},{other}", eval_on_each_dataset=True, eval_strategy="epoch"))
    results = read(run / "eval_results.json")
    assert {"eval_loss", "eval_accuracy", "eval_perplexity", "eval_rows_loss", "eval_other_loss"} <= set(results)


@pytest.mark.parametrize(
    "changed",
    [
        {"use_rslora": True}, {"use_dora": True}, {"pissa_init": True, "pissa_convert": True},
        {"loraplus_lr_ratio": 4.0}, {"additional_target": "lm_head"}, {"neftune_noise_alpha": 5.0},
        {"finetuning_type": "freeze", "freeze_trainable_layers": 1, "lora_dropout": None},
        {"finetuning_type": "full", "lora_dropout": None, "learning_rate": 3e-3},
        {"precision": "bf16"}, {"precision": "pure_bf16"}, {"precision": "fp16"},
        {"optim": "sgd", "learning_rate": 0.5}, {"optim": "adafactor"},
        {"train_on_prompt": True}, {"packing": True},
        {"lr_scheduler_type": "warmup_stable_decay"}, {"lr_scheduler_type": "cosine_with_min_lr",
         "lr_scheduler_kwargs": {"min_lr_rate": 0.1}},
        {"add_special_tokens": "<|mine|>", "resize_vocab": True},
    ],
    ids=lambda changed: ",".join(f"{k}={v}" for k, v in changed.items())[:60],
)  # fmt: skip
def test_every_way_of_training_learns(settings: Make, changed: dict[str, Any]) -> None:
    found = losses(train(settings(**{"num_train_epochs": 3.0, **changed})))
    assert sum(found[-3:]) < sum(found[:3])


def test_documents_are_trained_on_every_token(settings: Make, tmp_path: Path) -> None:
    text = tmp_path / "book.txt"
    text.write_text("\n".join(f"Line {n} of the book says that {n} comes before {n + 1}." for n in range(200)), "utf-8")
    run = train(settings(stage="pt", dataset=str(text), num_train_epochs=2.0))
    results = read(run / "train_results.json")
    found = losses(run)
    assert found[-1] < found[0]
    rows = results["tokens"] - results["trained_tokens"]
    assert 0 < rows <= results["tokens"] / 50  # only the last token of each row has no target


def test_an_adapter_is_trained_further_from_its_own_weights(settings: Make, tmp_path: Path) -> None:
    first = train(settings(num_train_epochs=3.0))
    more = train(settings(adapter_name_or_path=str(first), output_dir=str(tmp_path / "more"), lora_dropout=0.0))
    assert losses(more)[0] < losses(first)[0] * 0.8


def test_the_preflight_measures_and_writes_nothing(settings: Make, tmp_path: Path) -> None:
    from tunesmith.config.load import load_job
    from tunesmith.jobs import execute

    found = execute.plan(load_job([], settings(cutoff_len=40), verb="plan"))
    told = {finding.what: finding for finding in found}
    assert {"output_dir", "model", "memory", "micro-step", "disk", "time", "trained"} <= set(told)
    assert any(finding.status == "warn" and "longer than cutoff_len" in finding.detail for finding in found)
    assert "10 steps of 4 rows" in told["time"].detail
    assert told["disk"].detail.startswith("the result takes about ")
    assert not (tmp_path / "run").exists()


def test_a_small_job_is_told_in_its_own_numbers(settings: Make, rows_file: Path) -> None:
    from tunesmith.config.load import load_job
    from tunesmith.jobs import execute

    rows_file.write_text(json.dumps(read(rows_file)[:1]), encoding="utf-8")
    keys = settings(per_device_train_batch_size=8, save_strategy="steps")
    told = {finding.what: finding.detail for finding in execute.plan(load_job([], keys, verb="plan"))}
    assert told["time"].startswith("1 step of 1 row,")
    assert told["disk"].startswith("1 checkpoint and the result take about ")
    run = train(keys)
    assert "1 step of 1 row." in (run / "logs" / "attempt_1.log").read_text(encoding="utf-8")
    assert len(list(run.glob("checkpoint-*"))) == 1


def test_a_run_of_one_step_trains_it(settings: Make) -> None:
    run = train(settings(max_steps=1, warmup_ratio=0.1))
    (point,) = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert point["learning_rate"] == 1e-2
    weights = load_file(run / "adapter_model.safetensors")
    assert any(value.abs().max() > 0 for name, value in weights.items() if "lora_B" in name)


def test_a_warm_up_that_is_never_done_is_told(settings: Make, capsys: pytest.CaptureFixture[str]) -> None:
    train(settings(max_steps=2, warmup_steps=100))
    assert "the warm-up takes 100 steps and the run has 2" in capsys.readouterr().err


def test_the_preflight_ends_with_what_can_not_work(settings: Make) -> None:
    from tunesmith.config.load import load_job
    from tunesmith.jobs import execute

    found = execute.plan(load_job([], settings(lora_target="q_proj,qq_proj"), verb="plan"))
    assert found[-1].status == "fail"
    assert "qq_proj" in found[-1].detail and "q_proj" in found[-1].fix


def test_the_preflight_and_the_run_agree_on_a_used_directory(settings: Make) -> None:
    from tunesmith.config.load import load_job
    from tunesmith.errors import UserError
    from tunesmith.jobs import execute

    with pytest.raises(UserError):
        train(settings(lora_target="nothing_like_it"))
    assert execute.plan(load_job([], settings(), verb="plan"))[0].status == "pass"  # it began in vain
    train(settings(max_steps=1))
    told = {finding.what: finding.status for finding in execute.plan(load_job([], settings(), verb="plan"))}
    assert told["output_dir"] == "fail"


def test_the_preflight_tells_every_thing_that_is_not_there(settings: Make, tmp_path: Path) -> None:
    from tunesmith.config.load import load_job
    from tunesmith.jobs import execute

    asked = settings(model_name_or_path=str(tmp_path / "no-model"), dataset=str(tmp_path / "no-rows.json"))
    found = execute.plan(load_job([], asked, verb="plan"))
    assert [(finding.what, finding.status) for finding in found] == [
        ("output_dir", "pass"), ("dataset", "fail"), ("model_name_or_path", "fail"),
    ]  # fmt: skip


def test_arithmetic_is_the_callers_own_again_after_a_training(settings: Make) -> None:
    """Training flushes values that underflow; a program that calls it wants them."""
    train(settings(max_steps=1))
    assert float(torch.tensor(1e-310, dtype=torch.float64) * 0.5) > 0
