"""A failed run offers settings that load and that mend what failed."""

import errno
import os
import socket
import sys
import types
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests
from starlette.testclient import TestClient

from tunesmith.config.load import load_job
from tunesmith.errors import UserError
from tunesmith.export.ollama import Ollama
from tunesmith.jobs.launch import Spread, run_spread
from tunesmith.models.locate import locate
from tunesmith.runs.files import told_plainly
from tunesmith.runs.layout import RunLayout, complete_marker
from tunesmith.runs.run import Run
from tunesmith.text.families import load_family
from tunesmith.web import queue as queue_module
from tunesmith.web.remedies import remedies

CONFIG = {
    "model_name_or_path": "a/b", "dataset": ["x"], "per_device_train_batch_size": 3, "gradient_accumulation_steps": 4,
    "gradient_checkpointing": "auto", "cutoff_len": 2048, "finetuning_type": "lora", "learning_rate": 3e-4,
}  # fmt: skip
MODELSCOPE = {"hub_name": "modelscope"}
MEMORY = {"message": "CUDA out of memory"}


@pytest.mark.parametrize(
    ("message", "whats"),
    [
        (
            "The memory of the device is not enough for this run (CUDA out of memory).",
            ["smaller_batches", "recompute_activations", "shorter_rows", "four_bit_base"],
        ),
        ("The directory saves/a already holds a run (finished, step 9).", ["another_folder"]),
        ("The gradient is not a number at step 12.", ["lower_learning_rate"]),
        ("quantization_bit: 4 needs a GPU; this run is on the CPU.", ["not_quantized"]),
        ("There is no data set called x.", []),
    ],
)
def test_each_error_has_its_remedies(message: str, whats: list[str]) -> None:
    found = remedies({"message": message}, CONFIG)
    assert [remedy.what for remedy in found] == whats
    for remedy in found:
        settings = {key: value for key, value in {**CONFIG, **remedy.settings}.items() if value is not None}
        load_job([], settings, verb="train")


def test_a_taken_folder_gives_way_to_a_free_one_beside_it(workspace: Path) -> None:
    Path("saves/a").mkdir(parents=True)
    taken = {"message": "…", "code": "in_use"}
    (training,) = remedies(taken, CONFIG | {"output_dir": "saves/a"})
    assert training.settings == {"output_dir": "saves/a_2"} and training.names["folder"] == "saves/a_2"
    Path("exports/a_2").mkdir(parents=True)
    Path("exports/a").mkdir()
    (export,) = remedies(taken, {"export_dir": "exports/a"}, "export")
    assert export.settings == {"export_dir": "exports/a_3"}


def test_an_export_without_a_server_makes_the_files_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    with Ollama() as server, pytest.raises(UserError) as absent:
        server.version()
    for asked, files in (
        ({}, ["gguf"]),
        ({"export_to": ["gguf-adapter"], "export_ollama_base": "q"}, ["gguf-adapter"]),
    ):
        config = {"model_name_or_path": "a/b", "export_ollama": "mine", "export_dir": "exports/a", **asked}
        (remedy,) = remedies({"message": absent.value.message}, config, "export")
        settings = {key: value for key, value in {**config, **remedy.settings}.items() if value is not None}
        export = load_job([], settings, verb="export").job.export
        assert not export.export_ollama and list(export.export_to) == files
        assert bool(export.export_quant) is (files == ["gguf"])


def test_a_model_whose_hub_does_not_answer_is_looked_for_on_the_other(tmp_path: Path) -> None:
    job = load_job([], {**CONFIG, "cache_dir": str(tmp_path), "model_name_or_path": "a/b"}, verb="ask").job
    with pytest.raises(UserError) as offline:  # as the tests are, which ask no hub
        locate(job.model)
    assert offline.value.code == "hub_unreachable"
    for error in ({"message": offline.value.message}, {"message": "", "code": offline.value.code}):
        (remedy,) = remedies(error, CONFIG, "export")
        assert remedy.settings == {"hub_name": "modelscope"}
        assert bool(remedy.needs) is (find_spec("modelscope") is None)
    (back,) = remedies({"message": "", "code": "hub_unreachable"}, CONFIG | MODELSCOPE)
    assert back.settings == {"hub_name": "huggingface"} and not back.needs
    assert remedies({"message": "", "code": "hub_unreachable"}, CONFIG | {"model_name_or_path": "models/x.gguf"}) == []


@pytest.mark.parametrize(
    ("raised", "first"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "one_checkpoint"),
        (ValueError("The request model: a/b does not exist!"), None),
        (requests.ConnectionError("Max retries exceeded"), "from_hub"),
        (requests.ReadTimeout("Read timed out."), "from_hub"),
    ],
)
def test_another_hub_is_offered_only_where_modelscope_did_not_answer(
    raised: Exception, first: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*given: object, **named: object) -> None:
        raise raised

    hub = types.ModuleType("modelscope")
    hub.__spec__ = ModuleSpec("modelscope", None)
    vars(hub).update(HubApi=None, snapshot_download=fail)
    monkeypatch.setitem(sys.modules, "modelscope", hub)
    monkeypatch.delenv("MODELSCOPE_API_TOKEN", raising=False)
    config = CONFIG | MODELSCOPE
    with pytest.raises(UserError) as told:
        locate(load_job([], {**config, "cache_dir": str(tmp_path)}, verb="ask").job.model)
    for error in ({"message": told.value.message, "code": told.value.code or ""}, {"message": told.value.message}):
        found = [remedy.what for remedy in remedies(error, config)]
        assert found[:1] == ([first] if first else [])


def test_smaller_batches_keep_the_rows_of_a_step_at_least() -> None:
    (first, *_) = remedies(MEMORY, CONFIG)
    rows, steps = first.settings["per_device_train_batch_size"], first.settings["gradient_accumulation_steps"]
    assert rows == 1 and rows * steps == 12


def test_an_evaluation_is_offered_what_its_memory_goes_to() -> None:
    asked = {"model_name_or_path": "a/b", "eval_dataset": ["x"], "do_train": False, "per_device_eval_batch_size": 8}
    error = {"message": "The memory is not enough for this evaluation."}
    found = remedies(error, {**asked, "finetuning_type": "lora"}, "eval")
    assert [remedy.settings for remedy in found] == [{"per_device_eval_batch_size": 4}, {"quantization_bit": 4}]
    without = remedies(error, {**asked, "finetuning_type": "lora"}, "eval", has_gpu=lambda: False)
    assert [remedy.what for remedy in without] == ["fewer_at_once"]


def test_what_is_done_already_is_not_offered() -> None:
    done = CONFIG | {
        "per_device_train_batch_size": 1, "gradient_checkpointing": True, "cutoff_len": 256, "quantization_bit": 4,
    }  # fmt: skip
    assert remedies(MEMORY, done) == []


@pytest.fixture
def environments(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What the queue would have started processes with."""
    given: list[dict[str, str]] = []

    def start(run: Path, arguments: list[str], *, module: str, environment: dict[str, str]) -> int:
        given.append(environment)
        return os.getpid()

    monkeypatch.setattr(queue_module, "start_detached", start)
    return given


def failed(name: str, error: UserError, **settings: object) -> str:
    run = Run.create(Path("saves") / name, {**CONFIG, **settings}, {**CONFIG, **settings})
    run.begin_attempt()
    run.finish("failed", error)
    return f"saves/{name}"


def refusal(code: str | None = None, field: str | None = None) -> UserError:
    return UserError("It is said otherwise today.", code=code, field=field)


def test_a_refused_download_is_tried_again_with_a_token_that_only_the_process_gets(
    client: TestClient, workspace: Path, environments: list[dict[str, str]]
) -> None:
    gated = failed("gated", refusal("login", "model_name_or_path"))
    (remedy,) = client.get(f"/api/runs/{gated}").json()["remedies"]
    assert (remedy["asks"], remedy["link"]) == ("hf_hub_token", "https://huggingface.co/a/b")
    settings = {**CONFIG, "dataset": ["numbers"], **remedy["settings"], remedy["asks"]: "hf_told-to-nobody"}
    begun = client.post("/api/runs", json={"verb": "train", "settings": settings})
    assert begun.status_code == 201, begun.text
    assert environments[-1]["HF_TOKEN"] == "hf_told-to-nobody"
    files = [path for path in workspace.rglob("*") if path.is_file()]
    assert files and not [path for path in files if b"hf_told-to-nobody" in path.read_bytes()]

    (remedy,) = remedies({"message": "", "code": "login", "field": "model_name_or_path"}, CONFIG | MODELSCOPE)
    assert (remedy.asks, remedy.link) == ("ms_hub_token", "https://modelscope.cn/models/a/b")
    (told_by_an_export,) = remedies(
        {"message": "a/b is gated: its owner wants you to accept the terms."}, CONFIG, "export"
    )
    assert told_by_an_export.link


def test_without_a_template_one_is_chosen_of_those_that_there_are(client: TestClient) -> None:
    own, chosen = client.get(f"/api/runs/{failed('odd', refusal(field='template'), template='odd')}").json()["remedies"]
    assert own["settings"] == {"template": None}
    assert chosen["asks"] == "template" and {"qwen3", "chatml"} <= set(chosen["choices"])
    assert all(load_family(name) for name in chosen["choices"])


def test_a_full_disk_shows_what_takes_room_and_offers_less(client: TestClient) -> None:
    for name, size in (("small", 10), ("large", 5000)):
        layout = RunLayout(Path(failed(name, refusal())))
        layout.checkpoint(3).mkdir()
        (layout.checkpoint(3) / "model.safetensors").write_bytes(bytes(size))
        complete_marker(layout.checkpoint(3)).touch()
    with pytest.raises(UserError) as full, told_plainly(Path("saves/full")):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    told = client.get(f"/api/runs/{failed('full', full.value)}").json()
    assert [(one["run"], one["bytes"]) for one in told["room"]["taken"]] == [("saves/large", 5000), ("saves/small", 10)]
    assert told["room"]["free"] > 0
    fewer, elsewhere = told["remedies"]
    assert fewer["settings"] == {"save_total_limit": 1} and elsewhere["asks"] == "output_dir"
    assert client.get("/api/runs/saves/small").json()["room"] is None


def test_a_port_that_is_taken_is_left_to_be_chosen(
    client: TestClient, environments: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NNODES", raising=False)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("MASTER_PORT", str(other.getsockname()[1]))
        with pytest.raises(UserError) as told:
            run_spread(["train"], Spread(2), Path("saves/never"))
    # It is said before the run begins, so that the studio has the words alone.
    taken = failed("taken", UserError(told.value.message))
    (remedy,) = client.get(f"/api/runs/{taken}").json()["remedies"]
    asked = {"verb": "train", "settings": {**CONFIG, "dataset": ["numbers"]}, "free_port": remedy["free_port"]}
    assert client.post("/api/runs", json=asked).status_code == 201
    assert environments[-1]["MASTER_PORT"] == ""
