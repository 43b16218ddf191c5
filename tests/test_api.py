"""Tunesmith from Python: train, look at the run, talk to the model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tunesmith
from tunesmith.text.conversation import Message

ROWS = [{"instruction": f"Who are you? {i}", "output": "I am Ada, made by Me."} for i in range(8)]


@pytest.fixture
def keys(tmp_path: Path, tiny_model_dir: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A job that trains in a second."""
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "mine.json"
    data.write_text(json.dumps(ROWS), encoding="utf-8")
    return {
        "model_name_or_path": tiny_model_dir("llama"),
        "dataset": [data],
        "finetuning_type": "lora",
        "lora_target": ["all"],
        "output_dir": tmp_path / "run",
        "max_steps": 3,
        "per_device_train_batch_size": 2,
        "learning_rate": 0.05,
        "logging_steps": 1,
        "precision": "fp32",
        "infer_dtype": "float32",
        "do_sample": False,
        "max_new_tokens": 12,
    }


def test_importing_it_imports_nothing(tmp_path: Path) -> None:
    program = (
        "import sys; before = set(sys.modules); import tunesmith; tunesmith.__all__;"
        "print(','.join(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, encoding="utf-8", check=True)
    added = set(done.stdout.strip().split(","))
    assert {name for name in added if name.split(".")[0] not in sys.stdlib_module_names} == {"tunesmith"}


def test_its_names_are_there() -> None:
    assert tunesmith.__version__[0].isdigit()
    assert set(tunesmith.__all__) <= set(dir(tunesmith))
    assert all(getattr(tunesmith, name) for name in tunesmith.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        tunesmith.trian  # noqa: B018


def test_train_then_ask(keys: dict[str, object]) -> None:
    run = tunesmith.train(**keys)
    assert run.path == keys["output_dir"] and run.state.status == "finished"
    assert [point["step"] for point in run.metrics() if "loss" in point] == [1, 2, 3]
    model = run.load()
    tuned = model.chat("Who are you? 1")
    with model.base():
        assert model.chat("Who are you? 1") != tuned
    assert "".join(model.chat("Who are you? 1", stream=True)) == tuned
    assert tunesmith.load(keys["output_dir"]).chat("Who are you? 1") == tuned
    on_base = tunesmith.load(keys["model_name_or_path"], adapter=run.path, infer_dtype="float32")
    assert on_base.chat("Who are you? 1", do_sample=False, max_new_tokens=12) == tuned


def test_a_file_and_what_wins_over_it(keys: dict[str, object], tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    lines = [f"{key}: {value}\n" for key, value in keys.items() if key not in ("dataset", "lora_target")]
    config.write_text("".join(lines), encoding="utf-8")
    run = tunesmith.train(config, dataset=keys["dataset"], max_steps=1)
    assert [point["step"] for point in run.metrics() if "loss" in point] == [1]


def test_messages_in_and_a_message_out(keys: dict[str, object]) -> None:
    model = tunesmith.load(keys["model_name_or_path"], infer_dtype="float32", seed=3)
    messages: list[object] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    reply = model.reply(messages, max_new_tokens=5)
    assert isinstance(reply, Message) and reply.role == "assistant"
    again = tunesmith.load(keys["model_name_or_path"], infer_dtype="float32", seed=3)
    assert again.chat(messages, max_new_tokens=5) == reply.content
    assert isinstance(model.chat([*messages, reply, "And then?"], max_new_tokens=5), str)


@pytest.mark.parametrize(
    ("asked", "settings", "said"),
    [
        ("Hi", {"temperature": -1}, "≥ 0"),
        ("Hi", {"temperatur": 1}, "Did you mean temperature"),
        ("Hi", {"learning_rate": 1}, "can't be changed while talking"),
        ([], {}, "list of messages"),
        ({"role": "user", "content": "Hi"}, {}, "list of messages"),
        ([{"role": "wizard", "content": "Hi"}], {}, "unknown role 'wizard'"),
        ([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}], {}, "nothing to answer"),
    ],
)
def test_mistakes_are_told(asked: object, settings: dict[str, object], said: str, keys: dict[str, object]) -> None:
    model = tunesmith.load(keys["model_name_or_path"])
    with pytest.raises(tunesmith.UserError) as error:
        model.chat(asked, **settings)
    assert said in str(error.value)


def test_keys_are_checked_as_in_a_file(keys: dict[str, object]) -> None:
    with pytest.raises(tunesmith.UserError, match="Did you mean learning_rate"):
        tunesmith.train(**{**keys, "lerning_rate": 1e-4})
    with pytest.raises(tunesmith.UserError, match="There is no folder"):
        tunesmith.load("no/such/model/here")
