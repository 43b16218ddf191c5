"""What `tunesmith chat` makes of the places it is given."""

import json
from pathlib import Path

import pytest

from tunesmith.cli.chat import _is_place
from tunesmith.cli.export import _default_place
from tunesmith.cli.main import main
from tunesmith.config.load import load_job
from tunesmith.errors import UserError
from tunesmith.jobs.places import configuration_of, place_of
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
    assert configuration_of("some/model") == ([], {"model_name_or_path": "some/model"})
    assert configuration_of("m", "a") == ([], {"model_name_or_path": "m", "adapter_name_or_path": ["a"]})


def test_a_run_brings_its_configuration_and_its_adapter(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {}, RESOLVED)
    write_adapter(run.path)
    job = load_job(*configuration_of(str(run.path)), verb="chat").job
    assert job.model.model_name_or_path == "some/model"
    assert job.data.template == "qwen3"
    assert job.adapter.adapter_name_or_path == (str(run.path),)


def test_adapters_that_were_merged_before_training_stay_under_the_new_one(tmp_path: Path) -> None:
    continued = Run.create(tmp_path / "continued", {}, RESOLVED + "adapter_name_or_path: [one, two]\n")
    fresh = Run.create(tmp_path / "fresh", {}, RESOLVED + "adapter_name_or_path: [one]\ncreate_new_adapter: true\n")
    for run in (continued, fresh):
        write_adapter(run.path)
        assert configuration_of(str(run.path))[1] == {"adapter_name_or_path": ["one", str(run.path)]}


def test_a_run_that_still_trains_lends_its_last_checkpoint(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {}, RESOLVED)
    for step in (5, 10):
        write_adapter(run.layout.checkpoint(step))
        complete_marker(run.layout.checkpoint(step)).touch()
    for asked, taken in ((run.path, 10), (run.layout.checkpoint(5), 5)):
        expected = {"adapter_name_or_path": [str(run.layout.checkpoint(taken))]}
        assert configuration_of(str(asked))[1] == expected


def test_a_run_of_full_tuning_is_a_model(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {}, RESOLVED)
    (run.path / "config.json").write_text("{}", encoding="utf-8")
    keys = {"model_name_or_path": str(run.path), "adapter_name_or_path": None}
    assert configuration_of(str(run.path)) == ([run.layout.resolved], keys)


def test_a_run_without_a_model_yet(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {}, RESOLVED)
    with pytest.raises(UserError, match="has not saved a model yet"):
        configuration_of(str(run.path))


def test_a_run_is_named_as_runs_show_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = write_adapter(Run.create(Path("saves/small/mine"), {}, RESOLVED).path)
    keys = {"adapter_name_or_path": [str(mine)]}
    for name in ("mine", "last"):
        assert configuration_of(name) == ([mine / "resolved.yaml"], keys)
    assert place_of("gpt2") == "gpt2" and place_of("small/mine") == "small/mine"
    write_adapter(Run.create(Path("saves/other/mine"), {}, RESOLVED).path)
    with pytest.raises(UserError, match="several runs"):
        configuration_of("mine")
    write_adapter(Path("mine"))
    assert configuration_of("mine")[1]["adapter_name_or_path"] == ["mine"]


def test_an_export_of_the_last_run_goes_to_a_folder_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Run.create(Path("saves/mine"), {}, RESOLVED)
    assert _default_place(["last"]) == {"export_dir": str(Path("exports/mine"))}


def test_an_adapter_names_its_base(tmp_path: Path) -> None:
    adapter = str(write_adapter(tmp_path / "a"))
    keys = {"model_name_or_path": "some/model", "adapter_name_or_path": [adapter]}
    assert configuration_of(adapter) == ([], keys)
    with pytest.raises(UserError, match="does not name its base model"):
        configuration_of(str(write_adapter(tmp_path / "b", base=None)))


def test_without_a_place_the_runs_that_can_be_talked_to_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["chat"]) == 2
    assert "no run here has a model yet" in capsys.readouterr().err
    for name in ("saves/old", "demo/run", "saves/empty"):
        folder = Run.create(Path(name), {}, RESOLVED).path
        if name != "saves/empty":
            (write_adapter(folder) / "adapter_model.safetensors").touch()
    assert main(["chat"]) == 2
    told = capsys.readouterr().err
    assert "tunesmith chat demo/run (runs here, newest first: demo/run, saves/old)" in told


def test_a_folder_that_does_not_exist_is_not_looked_for_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_adapter(tmp_path / "saves" / "mine")
    for given in (["saves/mien"], ["some/model", "saves/mien"]):
        assert main(["chat", *given]) == 2
        told = capsys.readouterr().err
        assert told == "Error: There is no folder saves/mien.\n  → Did you mean saves/mine?\n"
