"""Every key of LLaMA-Factory and of transformers' training arguments is honoured, noted or refused."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tunesmith.config.fields import fields
from tunesmith.config.legacy import Noted, Refused, Renamed, asks
from tunesmith.config.legacy_keys import LEGACY, REFUSED_VALUES
from tunesmith.config.load import load_job
from tunesmith.errors import UserError

HERE = Path(__file__).parent
TABLES = ("llamafactory_defaults.yaml", "transformers_defaults.yaml")
GIVEN = {"model_name_or_path": "m", "dataset": "d", "output_dir": "o"}
OURS = {
    "placeholders", "strict", "precision", "export_to", "export_quant", "export_dtype", "export_importance_data",
    "export_ollama", "export_ollama_base", "export_verify", "export_quantization_method", "gguf_pre", "predict_base",
    "hub_name",
}  # fmt: skip
OLDER = {"evaluation_strategy", "use_ray"}  # names of earlier releases, and LLaMA-Factory's environment switch


@cache
def upstream() -> dict[str, Any]:
    tables = [yaml.safe_load((HERE / name).read_text(encoding="utf-8")) for name in TABLES]
    return {**tables[1], **tables[0]}


def test_every_key_is_a_field_or_in_the_table_and_never_both() -> None:
    assert len(upstream()) > 350
    assert [key for key in upstream() if (key in fields()) == (key in LEGACY)] == []


def test_neither_list_holds_keys_of_its_own_making() -> None:
    assert set(LEGACY) - set(upstream()) == OLDER
    assert set(fields()) - set(upstream()) == OURS


@pytest.mark.parametrize("name", TABLES)
def test_all_defaults_of_upstream_are_accepted(name: str) -> None:
    # `do_train: false` is the default of transformers, but written down it asks for nothing at all.
    load_job([HERE / name], {**GIVEN, "do_train": "true"}, verb="train")


def test_upstream_defaults_that_files_rely_on_are_ours() -> None:
    ours = {name: field.default for name, field in fields().items()}
    different = {
        key: (value, ours[key])
        for key, value in upstream().items()
        if key in ours and value is not None and _plain(ours[key]) != value
    }
    assert different == {
        "lora_target": ("all", ("all",)),
        "freeze_trainable_modules": ("all", ("all",)),
        "report_to": ("none", ()),
        "logging_steps": (500, 10),  # a loss curve from a short run
        "do_train": (False, None),  # a file that asks for nothing else trains
    }


def _plain(value: Any) -> Any:
    return {} if value == {} else value


@pytest.mark.parametrize("key", sorted(LEGACY))
def test_no_key_is_silently_ignored(key: str) -> None:
    entry = LEGACY[key]
    value = next(v for v in (True, 7, "something") if isinstance(entry, Renamed) or asks(entry, v))
    verb = min(entry.verbs) if isinstance(entry, Refused) and "train" not in entry.verbs else "train"
    try:
        notes = load_job([], {**GIVEN, key: value}, verb=verb).notes
    except UserError as error:
        assert key in error.message
        assert isinstance(entry, Refused) or value in (True, 7), "only what is refused ends in an error"
    else:
        assert not isinstance(entry, Refused)
        assert any(key in note.partition(":")[0] for note in notes)


@pytest.mark.parametrize("key", sorted(key for key, entry in LEGACY.items() if isinstance(entry, Noted)))
def test_what_is_noted_never_ends_in_an_error(key: str) -> None:
    load_job([], {**GIVEN, key: "anything"}, verb="train")


@pytest.mark.parametrize("key", sorted(key for key, entry in LEGACY.items() if isinstance(entry, Refused)))
def test_what_is_refused_may_be_switched_off(key: str) -> None:
    entry = LEGACY[key]
    assert isinstance(entry, Refused)
    for value in (None, "null", *entry.neutral):
        assert load_job([], {**GIVEN, key: value}, verb="train").notes == ()


def test_off_is_off_in_every_spelling() -> None:
    for word in ("false", "False", "no", "off", "0", "null"):
        assert load_job([], {**GIVEN, "use_galore": word}, verb="train").notes == ()


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, table in REFUSED_VALUES.items() for value in table])
def test_known_values_that_are_refused_say_why(key: str, value: str) -> None:
    verb = "chat" if key == "infer_backend" else "train"
    with pytest.raises(UserError) as error:
        load_job([], {**GIVEN, key: value}, verb=verb)
    assert f"`{key}: {value}` is refused: " in error.value.message and error.value.field == key


def test_older_names_are_understood() -> None:
    overrides = {
        **GIVEN,
        "evaluation_strategy": "steps",
        "val_size": 0.1,
        "per_gpu_train_batch_size": 3,
        "no_cuda": True,
        "disable_gradient_checkpointing": "True",
    }
    resolved = load_job([], overrides, verb="train")
    assert resolved.job.training.eval_strategy == "steps" and resolved.job.training.per_device_train_batch_size == 3
    assert resolved.job.training.use_cpu and resolved.job.model.gradient_checkpointing is False
    assert len(resolved.notes) == 4


def test_the_present_name_wins_over_an_older_one() -> None:
    resolved = load_job([], {**GIVEN, "no_cuda": True, "use_cpu": False}, verb="train")
    assert resolved.job.training.use_cpu is False
    assert resolved.notes == ("no_cuda: no effect, because use_cpu is set too.",)


def test_everything_refused_is_told_at_once() -> None:
    with pytest.raises(UserError) as error:
        load_job(
            [], {**GIVEN, "stage": "dpo", "use_unsloth": True, "fp8": True, "report_to": "wandb,neptune"}, verb="train"
        )
    for word in ("stage: dpo", "use_unsloth: true", "fp8: true", "report_to: neptune"):
        assert word in str(error.value)


METHODS: dict[str, dict[str, Any]] = {
    "loraplus": {"loraplus_lr_ratio": "16.0"},
    "pissa": {"pissa_init": "true", "pissa_iter": "16", "pissa_convert": "true"},
    "qlora": {"quantization_bit": "4", "quantization_method": "bnb", "double_quantization": "false"},
    "pretrain": {"stage": "pt", "dataset": "c4_demo"},
    "preprocess": {"tokenized_path": "saves/qwen3-4b/dataset/sft"},
    "remote data": {"dataset_dir": "REMOTE:llamafactory/demo_data", "ray_num_workers": "4"},
    "eval": {"val_size": "0.1", "per_device_eval_batch_size": "1", "eval_strategy": "steps", "eval_steps": "500"},
    "predict": {"do_predict": "true", "predict_with_generate": "true", "eval_dataset": "identity"},
    "vision": {"image_max_pixels": "262144", "video_max_pixels": "16384", "freeze_vision_tower": "true"},
    "tuned": {
        "weight_decay": "0.0",
        "adam_beta1": "0.9",
        "adam_beta2": "0.999",
        "max_grad_norm": "1.0",
        "warmup_steps": "10",
    },
    "no checkpointing": {"disable_gradient_checkpointing": "True", "flash_attn": "fa2", "packing": "False"},
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_upstreams_examples_are_accepted(name: str) -> None:
    load_job([], {**GIVEN, **METHODS[name]}, verb="train")


REFUSED_METHODS: dict[str, dict[str, Any]] = {
    "use_galore": {"finetuning_type": "full", "use_galore": "true", "galore_layerwise": "true", "galore_rank": "128"},
    "use_badam": {"finetuning_type": "full", "use_badam": "true", "badam_mode": "layer", "badam_verbose": "2"},
    "mixture_of_depths": {"finetuning_type": "full", "mixture_of_depths": "convert", "optim": "paged_adamw_8bit"},
    "deepspeed": {"finetuning_type": "full", "deepspeed": "examples/deepspeed/ds_z3_config.json"},
    "fsdp": {"fsdp": ["full_shard", "auto_wrap"], "finetuning_type": "full"},
    "oft": {"finetuning_type": "oft", "oft_block_size": "32", "oft_target": "all"},
    "kto": {"stage": "kto", "pref_beta": "0.1"},
    "use_dft_loss": {"use_dft_loss": "true", "finetuning_type": "full"},
    "tensor_model_parallel_size": {"tensor_model_parallel_size": "4", "sequence_parallel": "true"},
}


@pytest.mark.parametrize("name", REFUSED_METHODS)
def test_methods_that_are_missing_are_refused_by_name(name: str) -> None:
    with pytest.raises(UserError, match=name):
        load_job([], {**GIVEN, **REFUSED_METHODS[name]}, verb="train")
