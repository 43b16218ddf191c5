"""What `tunesmith chat` makes of the places it is given."""

import json
from pathlib import Path

import pytest

from tunesmith.cli.chat import _is_place, _keys_for
from tunesmith.config.load import load_job, parse_arguments
from tunesmith.errors import UserError
from tunesmith.runs.layout import complete_marker
from tunesmith.runs.run import Run

RESOLVED = "model_name_or_path: some/model\nstage: sft\ndataset: d.jsonl\ntemplate: qwen3\nfinetuning_type: lora\n"


def write_adapter(folder: Path, base: str | None = "some/model") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"base_model_name_or_path": base} if base else {}
    (folder / "adapter_config.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def test_what_is_a_place_and_what_is_a_configuration() -> None:
    assert [_is_place(word) for word in ("saves/mine", "Qwen/Qwen3-0.6B", "m.gguf")] == [True] * 3
    assert [_is_place(word) for word in ("chat.yaml", "chat.JSON", "temperature=0.2", "--template")] == [False] * 4


def test_a_model_and_an_adapter() -> None:
    assert _keys_for(["some/model"]) == ["model_name_or_path=some/model"]
    assert _keys_for(["m", "a"]) == ["model_name_or_path=m", "adapter_name_or_path=a"]


def test_a_run_brings_its_configuration_and_its_adapter(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {}, RESOLVED)
    write_adapter(run.path)
    files, overrides = parse_arguments(_keys_for([str(run.path)]))
    job = load_job(files, overrides, verb="chat").job
    assert job.model.model_name_or_path == "some/model"
    assert job.data.template == "qwen3"
    assert job.adapter.adapter_name_or_path == (str(run.path),)


def test_adapters_that_were_merged_before_training_stay_under_the_new_one(tmp_path: Path) -> None:
    continued = Run.create(tmp_path / "continued", {}, RESOLVED + "adapter_name_or_path: [one, two]\n")
    fresh = Run.create(tmp_path / "fresh", {}, RESOLVED + "adapter_name_or_path: [one]\ncreate_new_adapter: true\n")
    for run in (continued, fresh):
        write_adapter(run.path)
        assert _keys_for([str(run.path)])[1] == f"adapter_name_or_path=one,{run.path}"


def test_a_run_that_still_trains_lends_its_last_checkpoint(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {}, RESOLVED)
    for step in (5, 10):
        write_adapter(run.layout.checkpoint(step))
        complete_marker(run.layout.checkpoint(step)).touch()
    assert _keys_for([str(run.path)])[1].endswith("checkpoint-10")
    assert _keys_for([str(run.layout.checkpoint(5))])[1].endswith("checkpoint-5")


def test_a_run_of_full_tuning_is_a_model(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {}, RESOLVED)
    (run.path / "config.json").write_text("{}", encoding="utf-8")
    assert f"model_name_or_path={run.path}" in _keys_for([str(run.path)])


def test_a_run_without_a_model_yet(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {}, RESOLVED)
    with pytest.raises(UserError, match="has not saved a model yet"):
        _keys_for([str(run.path)])


def test_an_adapter_names_its_base(tmp_path: Path) -> None:
    assert _keys_for([str(write_adapter(tmp_path / "a"))])[0] == "model_name_or_path=some/model"
    with pytest.raises(UserError, match="does not name its base model"):
        _keys_for([str(write_adapter(tmp_path / "b", base=None))])
