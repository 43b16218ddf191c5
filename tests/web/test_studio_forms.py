"""Forms mean what files and flags mean."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tunesmith.authoring.options import ConvertSettings
from tunesmith.config.fields import fields, helps_of
from tunesmith.config.load import load_job, parse_arguments
from tunesmith.jobs import launch
from tunesmith.runs.run import Run
from tunesmith.web.forms import COMMON, as_command, is_automatic, schema_for
from tunesmith.web.studio import Studio


@pytest.mark.parametrize("verb", COMMON)
def test_the_schema_has_the_common_fields_first_with_help(verb: str) -> None:
    properties = schema_for(verb)["properties"]
    common = [name for name, field in properties.items() if field["x-common"]]
    assert common == list(COMMON[verb])
    assert all(field["description"] and field["x-section"] for field in properties.values())


def test_every_field_of_a_training_is_in_its_form() -> None:
    shown = schema_for("train")["properties"]
    elsewhere = ("evaluation", "generation", "export")
    assert {name for name, field in fields().items() if field.section not in elsewhere} - {"do_train"} <= set(shown)


def test_what_is_found_where_a_field_is_left_out_reads_automatic() -> None:
    """The help says it ("Left out: …"): whoever words it otherwise sees here what the form would then call none."""
    automatic = {
        "train": {"data_seed", "eval_steps", "greater_is_better", "metric_for_best_model", "output_dir", "run_name"},
        "eval": {"output_dir"},
        "export": {"export_dir", "export_ollama_base", "export_quant", "export_quantization_dataset", "export_to"},
    }
    everywhere = {"cache_dir", "interleave_probs", "lora_alpha", "packing", "template"}
    for verb, own in automatic.items():
        shown = schema_for(verb)["properties"]
        assert {name for name, field in shown.items() if field["x-automatic"]} == own | everywhere
    assert {name for name, help in helps_of(ConvertSettings).items() if is_automatic(help)} == {"header", "to"}


def test_every_mistake_is_told_at_its_field(client: TestClient) -> None:
    settings = {"model_name_or_path": "some/model", "dataset": "numbers", "learning_rate": "fast", "lora_rank": 0}
    told = client.post("/api/config/check", json={"settings": settings}).json()
    assert not told["ok"]
    assert {problem["field"] for problem in told["problems"]} == {"learning_rate", "lora_rank"}
    told = client.post(
        "/api/config/check", json={"settings": settings | {"learning_rate": 1e-4, "lora_rank": 8}}
    ).json()
    assert told["ok"] and told["resolved"]["lora_rank"] == 8
    told = client.post(
        "/api/config/check", json={"settings": {"model_name_or_path": "m/x", "dataset": "numbres"}}
    ).json()
    assert told["problems"][0]["field"] == "dataset" and "numbers" in told["problems"][0]["hint"]
    told = client.post("/api/config/check", json={"settings": {"modle_name_or_path": "x"}}).json()
    assert told["problems"][0]["field"] == "modle_name_or_path"


AWKWARD: dict[str, Any] = {
    "model_name_or_path": "my models/it's $HOME",
    "dataset": ["a b", "c"],
    "placeholders": {"name": 'Ada "the" Lab; rm -rf /', "author": "作者"},
    "learning_rate": 2e-05,
    "use_dora": True,
    "lora_target": "q_proj,v_proj",
    "hf_hub_token": "hf_secret",
    "output_dir": "saves/`x`",
}


def test_placeholders_that_nothing_fills_are_told_before_a_training_begins(client: TestClient, workspace: Path) -> None:
    rows = [{"instruction": "Who are you?", "output": "I am {{name}}, by {{author}}."}] * 3
    (workspace / "data" / "identity.json").write_text(json.dumps(rows), encoding="utf-8")
    settings: dict[str, Any] = {"dataset": "numbers,identity.json", "placeholders": {"author": "you"}}
    asked = {"settings": settings | {"model_name_or_path": "some/model"}}
    (warning,) = client.post("/api/config/data", json=asked).json()["warnings"]
    assert "{{name}} 3 ×" in warning and "author" not in warning
    settings["placeholders"]["name"] = "Tuna"
    assert client.post("/api/config/data", json={"settings": settings}).json()["warnings"] == []


def test_file_and_command_say_what_the_form_says(client: TestClient) -> None:
    told = client.post("/api/config/command", json={"settings": AWKWARD}).json()
    assert "hf_secret" not in str(told)
    meant = load_job([], {key: value for key, value in AWKWARD.items() if key != "hf_hub_token"}, verb="ask").job
    program, verb, *arguments = shlex.split(told["cli"].replace("\\\n", " "))
    assert (program, verb) == ("tunesmith", "train")
    files, overrides = parse_arguments(arguments)
    assert not files and load_job([], overrides, verb="ask").job == meant
    read = client.post("/api/config/import", json={"text": told["yaml"], "name": "mine.yaml"}).json()
    assert load_job([], read["settings"], verb="ask").job == meant


def test_small_numbers_stand_in_a_command_as_people_type_them() -> None:
    settings = {"learning_rate": 2e-05, "adam_epsilon": 1e-08, "interleave_probs": [5e-05, 1.0]}
    line = as_command("train", settings, windows=False)
    assert line == "tunesmith train learning_rate=2e-5 adam_epsilon=1e-8 interleave_probs=5e-5,1.0"


def test_powershell_has_its_own_quotes(client: TestClient) -> None:
    told = client.post("/api/config/command", json={"settings": AWKWARD}).json()
    assert "'model_name_or_path=my models/it''s $HOME'" in told["windows"] and " `\n" in told["windows"]


def test_llama_factorys_file_is_read(client: TestClient) -> None:
    text = "model_name_or_path: a/b\nstage: sft\ndo_train: true\nfinetuning_type: lora\nbf16: true\n"
    told = client.post("/api/config/import", json={"text": text, "name": "llama3_lora_sft.yaml"}).json()
    assert told["settings"]["model_name_or_path"] == "a/b" and told["settings"]["finetuning_type"] == "lora"
    assert told["settings"]["precision"] == "bf16" and "bf16" not in told["settings"]
    wrong = client.post("/api/config/import", json={"text": "a: [1", "name": "x.yaml"})
    assert wrong.status_code == 400 and wrong.json()["message"].startswith("x.yaml, line 1")


def test_what_training_refuses_stays_in_an_imported_file_and_is_told_with_its_reason(client: TestClient) -> None:
    text = "model_name_or_path: a/b\ndataset: numbers\nuse_galore: true\ndeepspeed: ds_z3.json\nstage: dpo\n"
    text += "per_gpu_train_batch_size: 2\n"
    told = client.post("/api/config/import", json={"text": text, "name": "mine.yaml"}).json()
    assert {problem["field"] for problem in told["refused"]} == {"use_galore", "deepspeed", "stage"}
    assert told["refused"][0]["message"].startswith("mine.yaml, line 3: `use_galore: true` is refused: GaLore")
    assert told["notes"] == ["per_gpu_train_batch_size: read as `per_device_train_batch_size: 2`."]
    assert told["settings"]["use_galore"] is True and told["settings"]["per_device_train_batch_size"] == 2
    checked = client.post("/api/config/check", json={"settings": told["settings"]}).json()
    assert {problem["field"] for problem in checked["problems"]} == {"use_galore", "deepspeed", "stage"}
    kept = {key: value for key, value in told["settings"].items() if key not in ("use_galore", "deepspeed", "stage")}
    assert client.post("/api/config/check", json={"settings": kept}).json()["ok"]
    assert client.put("/api/arguments/refused", json={"settings": told["settings"]}).status_code == 200
    assert client.get("/api/arguments/refused").json()["settings"] == told["settings"]
    unknown = client.post("/api/config/import", json={"text": "modle: x", "name": "x.yaml"}).json()
    assert "tunesmith help" not in unknown["hint"]


def test_what_would_end_a_run_at_its_start_is_told_before(client: TestClient, workspace: Path, tiny_model: str) -> None:
    settings = {"model_name_or_path": tiny_model, "dataset": "numbers"}
    (workspace / tiny_model / "chat_template.jinja").unlink(missing_ok=True)
    written = workspace / tiny_model / "tokenizer_config.json"
    kept = {key: value for key, value in json.loads(written.read_text("utf-8")).items() if key != "chat_template"}
    written.write_text(json.dumps(kept), encoding="utf-8")

    def problems(**others: Any) -> list[dict[str, Any]]:
        asked = {"settings": {**settings, **others}}
        found: list[dict[str, Any]] = client.post("/api/config/check", json=asked).json()["problems"]
        return found

    (without,) = problems()
    assert without["field"] == "template" and "no chat template of its own" in without["message"]
    assert problems(template="chatml") == problems(stage="pt") == []
    (quantized,) = problems(template="chatml", quantization_bit=4, use_cpu=True)
    assert quantized["message"] == "quantization_bit: 4 needs a GPU; this run is on the CPU."
    Run.create(Path("saves/x"), "stage: sft\n", "stage: sft\n", kind="train").begin_attempt()
    (taken,) = problems(template="chatml", output_dir="saves/x")
    assert taken["offer"] == {"output_dir": "saves/x_2"}
    assert problems(template="chatml", **taken["offer"]) == []


def test_a_torch_for_gpus_without_one_computes_on_the_cpu(
    client: TestClient, studio: Studio, monkeypatch: pytest.MonkeyPatch, tiny_model: str
) -> None:
    settings = {"model_name_or_path": tiny_model, "dataset": "numbers", "template": "chatml", "quantization_bit": 4}

    def on_the_cpu() -> bool:
        told = client.post("/api/config/check", json={"settings": settings}).json()
        return any("this run is on the CPU" in problem["message"] for problem in told["problems"])

    monkeypatch.setattr(launch, "_torch_builds", lambda: {"cuda": "13.0"})
    monkeypatch.setattr(launch, "nvidia_gpus", lambda: list[str]())
    assert on_the_cpu()
    monkeypatch.setattr(launch, "nvidia_gpus", lambda: ["GPU 0: NVIDIA T4 (UUID: GPU-1)"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1")
    assert not on_the_cpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert on_the_cpu()


def test_arguments_are_saved_and_nobody_is_overwritten_unseen(client: TestClient) -> None:
    first = client.put("/api/arguments/我的 1", json={"settings": {"learning_rate": 0.001, "hf_hub_token": "hf_x"}})
    assert first.status_code == 200
    seen = client.get("/api/arguments/我的 1").json()
    assert seen["settings"] == {"learning_rate": 0.001} and client.get("/api/arguments").json() == ["我的 1"]
    mine = {"settings": {"learning_rate": 0.002}, "revision": seen["revision"]}
    assert client.put("/api/arguments/我的 1", json=mine).status_code == 200
    assert client.put("/api/arguments/我的 1", json=mine).status_code == 409
    for name in ("..%2Fx", "a%2Fb"):
        refused = client.put(f"/api/arguments/{name}", json=mine)
        assert refused.status_code == 400 and "can't be a name" in refused.json()["message"]
    assert client.delete("/api/arguments/我的 1").status_code == 204
    assert client.delete("/api/arguments/我的 1").status_code == 404


def test_help_of_a_key(client: TestClient) -> None:
    assert "Adam" in client.get("/api/help/optim").json()["text"] or client.get("/api/help/optim").status_code == 200
    assert "learning_rate" in client.get("/api/help/learning_rat").json()["hint"]


def test_what_is_malformed_is_told_as_everything_else(client: TestClient) -> None:
    told = client.post("/api/config/check", json={"settings": 5})
    assert told.status_code == 422 and set(told.json()) == {"message", "hint", "field"}
    assert client.get("/api/nothing").status_code == 404


@pytest.mark.parametrize("half", ['"\\ud83d"', '"\\uD83Dx"'])
def test_half_a_character_is_refused_wherever_it_is_sent(client: TestClient, half: str) -> None:
    body = f'{{"settings": {{"output_dir": {half}}}, "content": {{"a": {half}}}}}'
    headers = {"content-type": "application/json"}
    for method, address in (
        ("PUT", "/api/arguments/a"), ("PUT", "/api/conversations/a"), ("POST", "/api/config/check"),
        ("POST", "/api/config/command"), ("POST", "/api/runs"), ("POST", "/api/evaluations"), ("POST", "/api/estimate"),
        ("POST", "/api/datasets/numbers/look"),
    ):  # fmt: skip
        answer = client.request(method, address, content=body, headers=headers)
        assert answer.status_code == 422 and "half a character" in answer.json()["message"], address


def test_a_conversation_that_is_nested_without_end_is_refused(client: TestClient) -> None:
    body = '{"content": {"a": ' + "[" * 900 + "]" * 900 + "}}"
    headers = {"content-type": "application/json"}
    assert client.put("/api/conversations/a", content=body, headers=headers).status_code in (400, 422)


def test_a_value_that_stands_for_others_is_refused(client: TestClient) -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    told = client.post("/api/config/import", json={"text": "a0: &a0 [x]\n" + levels, "name": "x.yaml"})
    assert told.status_code == 400 and told.json()["message"].startswith("x.yaml, line 2")
