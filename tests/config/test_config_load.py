"""From files and flags to a job."""

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from tunesmith.config.job import short_model_name
from tunesmith.config.load import Resolved, dump_yaml, load_job, parse_arguments, to_flat
from tunesmith.errors import UserError

BASE = {"model_name_or_path": "Qwen/Qwen3-0.6B", "dataset": "identity", "output_dir": "saves/x"}

UPSTREAM_LORA = """\
### model
model_name_or_path: Qwen/Qwen3-4B-Instruct-2507
trust_remote_code: true

### method
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all

### dataset
dataset: identity,alpaca_en_demo
template: qwen3_nothink
cutoff_len: 2048
max_samples: 1000
preprocessing_num_workers: 16
dataloader_num_workers: 4

### output
output_dir: saves/qwen3-4b/lora/sft
logging_steps: 10
save_steps: 500
plot_loss: true
overwrite_output_dir: true
save_only_model: false
report_to: none  # choices: [none, wandb, tensorboard]

### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
resume_from_checkpoint: null

### eval
# val_size: 0.1
"""


@pytest.mark.parametrize(
    "text", ["{name: Ada, author: me and you}", "name: Ada, author: me and you", "name：Ada，author：me and you"]
)
def test_a_mapping_may_be_typed_without_braces(text: str) -> None:
    job = load_job([], {**BASE, "placeholders": text}).job
    assert job.data.placeholders == {"name": "Ada", "author": "me and you"}


def load(text: str, tmp_path: Path, verb: str = "train", name: str = "cfg.yaml", **overrides: object) -> Resolved:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load_job([path], overrides, verb=verb)


def test_a_llama_factory_yaml_loads_unchanged(tmp_path: Path) -> None:
    resolved = load(UPSTREAM_LORA, tmp_path)
    job = resolved.job
    assert job.model.model_name_or_path == "Qwen/Qwen3-4B-Instruct-2507"
    assert job.data.dataset == ("identity", "alpaca_en_demo")
    assert job.adapter.lora_target == ("all",)
    assert job.optimizer.learning_rate == 1e-4
    assert job.run.report_to == () and job.run.plot_loss and job.run.overwrite_output_dir
    assert job.training.bf16
    noted = [note.partition(":")[0] for note in resolved.notes]
    assert noted == ["preprocessing_num_workers", "dataloader_num_workers"]


def test_numbers_are_numbers_however_they_are_written(tmp_path: Path) -> None:
    for written in ("1e-4", "1.0e-4", "0.0001", "'1e-4'", ".1e-3"):
        job = load(f"learning_rate: {written}", tmp_path, **BASE).job
        assert job.optimizer.learning_rate == pytest.approx(1e-4)


def test_text_keeps_the_letters_it_was_written_with(tmp_path: Path) -> None:
    text = "run_name: 2024-01-01\nmodel_revision: 0123456\neval_strategy: no\nplaceholders: {name: No, author: 3.10}"
    job = load(text, tmp_path, **BASE).job
    assert job.run.run_name == "2024-01-01"
    assert job.model.model_revision == "0123456"
    assert job.training.eval_strategy == "no"
    assert job.data.placeholders == {"name": "No", "author": "3.10"}


def test_a_free_mapping_is_typed_by_its_looks(tmp_path: Path) -> None:
    for written in ("{min_lr: 1e-6, num_cycles: 2, name: '3'}", '\'{"min_lr": 1e-6, "num_cycles": 2, "name": "3"}\''):
        job = load(f"lr_scheduler_kwargs: {written}", tmp_path, **BASE).job
        assert job.optimizer.lr_scheduler_kwargs == {"min_lr": 1e-6, "num_cycles": 2, "name": "3"}


def test_json_files_load_too(tmp_path: Path) -> None:
    text = json.dumps({"learning_rate": 2e-5, "dataset": ["a", "b"], "packing": None, "interleave_probs": [0.3, 0.7]})
    job = load(text, tmp_path, name="cfg.json", **{**BASE, "dataset": "a,b", "mix_strategy": "interleave_under"}).job
    assert job.optimizer.learning_rate == 2e-5
    assert job.data.interleave_probs == (0.3, 0.7)


def test_later_files_and_overrides_win(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("lora_rank: 4\nseed: 1\nplaceholders: {name: A, author: B}", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("lora_rank: 16", encoding="utf-8")
    overrides = {**BASE, "seed": "7", "placeholders.name": "Ada"}
    job = load_job([tmp_path / "a.yaml", tmp_path / "b.yaml"], overrides, verb="train").job
    assert (job.adapter.lora_rank, job.training.seed) == (16, 7)
    assert job.data.placeholders == {"name": "Ada", "author": "B"}


def test_null_means_the_default(tmp_path: Path) -> None:
    job = load("lora_rank: null\nreport_to: ~\nenable_thinking: null\nlora_target:\n", tmp_path, **BASE).job
    assert job.adapter.lora_rank == 8 and job.run.report_to == () and job.adapter.lora_target == ("all",)
    assert job.data.enable_thinking is None, "null is a value of its own where a field has it"


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    text = (
        "lora_target: &names [q_proj, v_proj]\nadditional_target: *names\nplaceholders: &who {name: Ada}\n<<: {seed: 3}"
    )
    job = load(text, tmp_path, **BASE).job
    assert job.adapter.additional_target == ("q_proj", "v_proj")
    assert job.training.seed == 3


def test_values_from_python_keep_their_types() -> None:
    overrides = {**BASE, "learning_rate": 3e-5, "dataset": ["x", Path("y.json")], "do_sample": False, "max_samples": 5}
    job = load_job([], overrides, verb="train").job
    assert job.data.dataset == ("x", "y.json")
    assert job.generation.do_sample is False and job.data.max_samples == 5


def test_the_dump_loads_to_the_same_job(tmp_path: Path) -> None:
    overrides = {
        **BASE,
        "placeholders": {"name": "null", "author": "小明: 1e-4 #x", "year": "007"},
        "lr_scheduler_kwargs": {"min_lr": 1e-6, "label": "1e-4", "last": None, "deep": {"list": [1, "2", True]}},
        "default_system": "You are kind.\n\n  Very: kind # really\n",
        "gradient_checkpointing": False,
        "resume_from_checkpoint": True,
        "report_to": "wandb,tensorboard",
        "template": "None of it",
        "metric_for_best_model": "true",
        "adapter_name_or_path": ["a, b", "c"],
        "loraplus_lr_ratio": 16,
        "neftune_noise_alpha": 5,
        "enable_thinking": None,
    }
    first = load_job([], overrides, verb="train").job
    again = load(dump_yaml(first), tmp_path)
    assert again.job == first
    assert again.notes == ()
    assert to_flat(again.job) == to_flat(first)


def test_the_default_job_round_trips_too(tmp_path: Path) -> None:
    first = load_job([], BASE, verb="train").job
    assert load(dump_yaml(first), tmp_path).job == first


def test_secrets_are_never_written(tmp_path: Path) -> None:
    resolved = load_job([], {**BASE, "hf_hub_token": "hf_secret", "ms_hub_token": "ms_secret"}, verb="train")
    assert resolved.job.model.hf_hub_token == "hf_secret"
    shown = dump_yaml(resolved.job) + repr(resolved) + repr(to_flat(resolved.job)) + repr(resolved.asked)
    assert "secret" not in shown
    with pytest.raises(UserError) as error:
        load_job([], {**BASE, "om_hub_token": "om_secret"}, verb="train")
    assert "om_hub_token" in str(error.value) and "om_secret" not in str(error.value)
    with pytest.raises(UserError) as error:
        load_job([], {**BASE, "hf_hub_token": ["hf_secret"]}, verb="train")
    assert "hf_hub_token" in str(error.value) and "hf_secret" not in str(error.value)


def test_asked_holds_what_was_set_and_nothing_else() -> None:
    resolved = load_job([], {**BASE, "learning_rate": "2e-5", "preprocessing_num_workers": "4"}, verb="train")
    assert resolved.asked == {
        "model_name_or_path": "Qwen/Qwen3-0.6B",
        "dataset": ["identity"],
        "output_dir": "saves/x",
        "learning_rate": 2e-5,
    }


def test_a_run_directory_is_made_up_where_none_is_given() -> None:
    now = datetime(2031, 2, 3, 4, 5, 6)
    given = {**BASE, "output_dir": None, "finetuning_type": "full"}
    assert load_job([], given, verb="train", now=now).job.run.output_dir == (
        "saves/Qwen3-0.6B/full/sft_2031-02-03_04-05-06"
    )
    assert load_job([], given, verb="chat", now=now).job.run.output_dir == ""


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Qwen/Qwen3-0.6B", "Qwen3-0.6B"),
        ("./models/SmolLM2-135M-Q8_0.gguf", "SmolLM2-135M-Q8_0"),
        ("C:\\models\\my model\\", "my-model"),
        ("/cache/models--Qwen--Qwen3-4B/snapshots/abc123", "Qwen3-4B"),
        ("..", "model"),
    ],
)
def test_the_run_directory_is_named_after_the_model(path: str, name: str) -> None:
    assert short_model_name(path) == name


def test_one_file_feeds_several_commands(tmp_path: Path) -> None:
    text = "model_name_or_path: m\nstage: dpo\nuse_unsloth: true\npref_beta: 0.1\nexport_dir: out\ntemperature: 0.2\n"
    resolved = load(text, tmp_path, verb="chat")
    assert resolved.job.generation.temperature == 0.2
    assert any("stage" in note for note in resolved.notes) and any("use_unsloth" in note for note in resolved.notes)
    with pytest.raises(UserError, match="dpo"):
        load(text, tmp_path, verb="train", dataset="x")
    with pytest.raises(UserError, match="infer_backend: vllm"):
        load("model_name_or_path: m\ninfer_backend: vllm\n", tmp_path, verb="chat")


def test_unknown_keys_are_all_named_with_what_was_meant(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        load("lora_rnak: 8\nlerning_rate: 1e-4\nzzzzz: 1\n", tmp_path, **BASE)
    lines = error.value.message.splitlines()
    assert "cfg.yaml, line 1" in lines[0] and "`lora_rnak`" in lines[0] and "lora_rank" in lines[0]
    assert "cfg.yaml, line 2" in lines[1] and "learning_rate" in lines[1]
    assert lines[2].endswith("there is no key `zzzzz`.")
    assert error.value.field == "lora_rnak"


@pytest.mark.parametrize(
    ("setting", "found", "expected"),
    [
        ("lora_rank: eight", "'eight'", "a whole number ≥ 1"),
        ("lora_rank: 0", "'0'", "a whole number ≥ 1"),
        ("lora_rank: 1.5", "'1.5'", "a whole number ≥ 1"),
        ("learning_rate: 5-e5", "'5-e5'", "a number > 0"),
        ("learning_rate: -1e-4", "'-1e-4'", "a number > 0"),
        ("learning_rate: nan", "'nan'", "a number > 0"),
        ("learning_rate: inf", "'inf'", "a number > 0"),
        ("lora_dropout: 1", "'1'", "a number ≥ 0 and < 1"),
        ("bf16: maybe", "'maybe'", "true or false"),
        ("finetuning_type: lara", "'lara'", "one of lora, freeze, full"),
        ("report_to: wandbb", "'wandbb'", "wandb"),
        ("dataset: {a: 1}", "{'a': '1'}", "a list or comma-separated values"),
        ("placeholders: Ada", "'Ada'", "a mapping {key: value}"),
        ("template: [a, b]", "['a', 'b']", "text"),
        ("save_steps: ''", "''", "a whole number ≥ 1"),
        ("interleave_probs: 0.5,x", "['0.5', 'x']", "a list or comma-separated values (a number ≥ 0)"),
    ],
)
def test_a_value_that_does_not_fit_is_told_in_one_line(setting: str, found: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        load(setting, tmp_path, **{key: value for key, value in BASE.items() if key != setting.split(":")[0]})
    key = setting.split(":")[0]
    message = error.value.message
    assert f"{key} is {found}, expected" in message and expected in message and "line 1" in message
    assert "\n" not in message and error.value.field == key


def test_all_values_that_do_not_fit_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        load("lora_rank: x\nlearning_rate: y\nflash_attn: sdpaa\n", tmp_path, **BASE)
    assert len(error.value.message.splitlines()) == 3


def test_a_misspelt_choice_gets_its_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        load("lr_scheduler_type: cosin\n", tmp_path, **BASE)
    assert "cosine" in error.value.hint


def test_arguments_in_every_form() -> None:
    argv = [
        "a.yaml",
        "lora_rank=16",
        "--learning-rate",
        "2e-5",
        "--bf16",
        "--dataset=a,b",
        "b.json",
        "--max_steps",
        "-1",
    ]
    files, overrides = parse_arguments(argv)
    assert files == [Path("a.yaml"), Path("b.json")]
    assert overrides == {
        "lora_rank": "16",
        "learning_rate": "2e-5",
        "bf16": "true",
        "dataset": "a,b",
        "max_steps": "-1",
    }


def test_a_switch_does_not_swallow_the_config_file() -> None:
    assert parse_arguments(["--plot_loss", "cfg.yaml"]) == ([Path("cfg.yaml")], {"plot_loss": "true"})
    assert parse_arguments(["--plot_loss", "False", "cfg.yaml"]) == ([Path("cfg.yaml")], {"plot_loss": "False"})
    assert parse_arguments(["--no_do_sample", "--streaming"])[1] == {"do_sample": "false", "streaming": "true"}
    assert parse_arguments(["--dataset", "my.json"]) == ([], {"dataset": "my.json"})


def test_a_later_word_wins_and_values_may_hold_equals_signs() -> None:
    assert parse_arguments(["seed=1", "--seed=2", "default_system=a=b"])[1] == {"seed": "2", "default_system": "a=b"}


def test_flags_reach_the_job() -> None:
    line = (
        "--model_name_or_path m --placeholders.name Ada --template null --report_to none --gradient_checkpointing true"
    )
    brackets = ["--dataset", "[a, b]", "--lr_scheduler_kwargs", "{min_lr: 1e-6}"]
    _, overrides = parse_arguments([*line.split(), *brackets])
    job = load_job([], overrides, verb="train").job
    assert job.data.dataset == ("a", "b") and job.data.placeholders == {"name": "Ada"} and job.data.template is None
    assert job.optimizer.lr_scheduler_kwargs == {"min_lr": 1e-6} and job.run.report_to == ()
    assert job.model.gradient_checkpointing is True


def test_brackets_in_text_are_text() -> None:
    for text in ("[You are] kind", "{curly", "{name: x}"):
        job = load_job([], {**BASE, "default_system": text, "placeholders.name": text}, verb="train").job
        assert job.data.default_system == job.data.placeholders["name"] == text


@pytest.mark.parametrize("word", ["train", "cfg.toml", "--", "=5"])
def test_a_word_that_means_nothing_is_refused(word: str) -> None:
    with pytest.raises(UserError, match="neither a config file"):
        parse_arguments([word])


def test_data_given_as_the_configuration_is_recognized(tmp_path: Path) -> None:
    data = tmp_path / "mine.jsonl"
    data.write_text("[]", encoding="utf-8")
    with pytest.raises(UserError) as told:
        parse_arguments([str(data)])
    assert f"dataset={data}" in told.value.hint
    with pytest.raises(UserError) as told:
        load_job([data], BASE, verb="train")
    assert f"dataset={data}" in told.value.hint


def test_an_open_bracket_is_told() -> None:
    with pytest.raises(UserError, match=r"neither a list \[a, b\]"):
        load_job([], {**BASE, "dataset": "[a, b"}, verb="train")


def test_config_imports_light() -> None:
    code = (
        "import sys, tunesmith.config.load, tunesmith.config.describe\n"
        "tunesmith.config.describe.help_text('lora_rank')\n"
        "tunesmith.config.load.parse_arguments(['a=b', '--bf16'])\n"
        "heavy = {'pydantic', 'yaml', 'numpy', 'torch', 'transformers', 'rich'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=dict(os.environ), check=True)
    assert done.stdout.decode().strip() == "[]"


def test_numbers_in_free_mappings_lose_nothing() -> None:
    given = "{code: 007, huge: 1e999, half: .5, small: 1e-4, version: '3.10', on: true}"
    job = load_job([], {**BASE, "lr_scheduler_kwargs": given}, verb="train").job
    assert job.optimizer.lr_scheduler_kwargs == {
        "code": "007",
        "huge": "1e999",
        "half": 0.5,
        "small": 1e-4,
        "version": "3.10",
        "on": True,
    }


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"x", object()])
def test_what_no_file_can_hold_is_refused(value: object) -> None:
    with pytest.raises(UserError, match="can't hold"):
        load_job([], {**BASE, "lr_scheduler_kwargs": {"deep": [value]}}, verb="train")


def test_a_mapping_from_python_is_kept_as_a_file_would_hold_it(tmp_path: Path) -> None:
    first = load_job([], {**BASE, "lr_scheduler_kwargs": {1: (2, Path("x"))}}, verb="train").job
    assert first.optimizer.lr_scheduler_kwargs == {"1": [2, "x"]}
    assert load(dump_yaml(first), tmp_path).job == first


def test_a_renamed_key_with_a_senseless_value_is_named() -> None:
    with pytest.raises(UserError, match="disable_gradient_checkpointing: gradient_checkpointing is"):
        load_job([], {**BASE, "disable_gradient_checkpointing": {"a": 1}}, verb="train")


def test_the_path_of_a_file_may_hold_a_comma(tmp_path: Path) -> None:
    path = tmp_path / "a, b.json"
    path.write_text("[]", encoding="utf-8")
    assert load_job([], {**BASE, "dataset": str(path)}, verb="train").job.data.dataset == (str(path),)
    assert load_job([], {**BASE, "dataset": "a, b.json"}, verb="train").job.data.dataset == ("a", "b.json")
