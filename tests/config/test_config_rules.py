"""Every rule between keys: a job that breaks it, and the line it gets."""

from typing import Any

import pytest

from tunesmith.config.idle import IDLE
from tunesmith.config.load import load_job
from tunesmith.config.rules import RULES
from tunesmith.errors import UserError

GIVEN = {"model_name_or_path": "m", "dataset": "d", "output_dir": "o"}
EVALUATING = {"val_size": 0.1, "eval_strategy": "steps"}

BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"model_name_or_path": None}, "model_name_or_path is missing"),
    ({"quantization_bit": 3}, "quantization_bit must be 4 or 8"),
    ({"quantization_bit": 4, "finetuning_type": "full"}, "A quantized model can't be trained itself"),
    ({"quantization_bit": 4, "resize_vocab": True}, "vocabulary of a quantized model can't grow"),
    ({"quantization_bit": 4, "add_tokens": "<x>"}, "vocabulary of a quantized model can't grow"),
    ({"quantization_bit": 4, "adapter_name_or_path": "a,b"}, "Adapters can't be merged into a quantized model"),
    ({"quantization_bit": 4, "create_new_adapter": True}, "Adapters can't be merged into a quantized model"),
    ({"quantization_bit": 4, "pissa_init": True}, "pissa_init needs the full weights"),
    ({"quantization_bit": 4, "train_from_scratch": True}, "there is nothing to quantize"),
    ({"adapter_name_or_path": "a", "finetuning_type": "full"}, "adapter_name_or_path names LoRA adapters"),
    ({"adapter_folder": "sub"}, "adapter_name_or_path is missing"),
    ({"loraplus_lr_ratio": 16, "finetuning_type": "full"}, "loraplus_lr_ratio is a setting of LoRA"),
    ({"use_rslora": True, "finetuning_type": "freeze"}, "use_rslora is a setting of LoRA"),
    ({"use_dora": True, "finetuning_type": "full"}, "use_dora is a setting of LoRA"),
    ({"pissa_init": True, "finetuning_type": "full"}, "pissa_init is a setting of LoRA"),
    ({"pissa_convert": True}, "pissa_init is off"),
    ({"finetuning_type": "freeze", "freeze_trainable_layers": 0}, "leaves nothing to train"),
    ({"dataset": None}, "dataset is missing"),
    ({"val_size": 0.1, "eval_dataset": "e"}, "both say what to evaluate on"),
    ({"val_size": 1.5}, "neither a share below 1 nor a whole number"),
    ({"interleave_probs": "1"}, "mix_strategy is concat"),
    ({"interleave_probs": "0.5,0.5", "mix_strategy": "interleave_under"}, "exactly one number for each data set"),
    ({"interleave_probs": "0", "mix_strategy": "interleave_over"}, "are all 0"),
    ({"streaming": True}, "max_steps must say when to stop"),
    ({"streaming": True, "max_steps": 5, "val_size": 0.5}, "can't hold back a share"),
    ({"streaming": True, "max_steps": 5, "max_samples": 5}, "max_samples has no meaning with streaming"),
    ({"mask_history": True, "train_on_prompt": True}, "contradict each other"),
    ({"neat_packing": True, "packing": False}, "packing is off"),
    ({"stage": "pt", "mask_history": True}, "mask_history is about conversations"),
    ({"stage": "pt", "train_on_prompt": True}, "train_on_prompt is about conversations"),
    ({"stage": "pt", "neat_packing": True}, "neat_packing is about conversations"),
    ({"bf16": True, "fp16": True}, "ask for different number formats"),
    ({"precision": "fp32", "bf16": True}, "ask for different number formats"),
    ({"pure_bf16": True, "fp16": True}, "ask for different number formats"),
    ({"eval_strategy": "steps"}, "nothing to evaluate on"),
    ({"do_train": True, "do_eval": True}, "There is nothing to evaluate on, but"),
    ({"do_train": False}, "neither do_eval nor do_predict asks for anything else"),
    ({"do_train": True, "do_predict": True}, "There is nothing to answer"),
    ({"do_eval": True}, "nothing to evaluate on: eval_dataset is missing"),
    ({"do_eval": True, "val_size": 5, "dataset": None}, "val_size holds back rows of dataset"),
    ({"do_predict": True, "val_size": 5, "streaming": True}, "can't be asked as questions"),
    ({"do_predict": True, "eval_dataset": "e", "stage": "pt"}, "asks nothing that could be answered"),
    ({"do_predict": True, "eval_dataset": "e", "predict_base": True}, "there is no adapter"),
    ({"load_best_model_at_end": True}, "needs evaluations to tell what is best"),
    ({**EVALUATING, "load_best_model_at_end": True, "save_strategy": "epoch"}, "needs a checkpoint wherever"),
    (
        {**EVALUATING, "load_best_model_at_end": True, "eval_steps": 30, "save_steps": 100},
        "needs a checkpoint wherever",
    ),
    ({"save_strategy": "best"}, "save_strategy: best needs evaluations"),
    ({"early_stopping_steps": 3}, "early_stopping_steps counts evaluations"),
    ({"resume_from_checkpoint": True, "output_dir": None}, "output_dir is missing"),
    ({"lr_scheduler_type": "reduce_lr_on_plateau"}, "reduce_lr_on_plateau follows the evaluations"),
    ({"export_quant": "q8_0", "export_to": "safetensors"}, "export_quant says how GGUF files"),
    ({"export_ollama": "mine", "export_to": "safetensors"}, "export_ollama needs a GGUF file"),
    ({"export_quantization_bit": 5}, "not a number that the method does"),
    ({"export_quantization_bit": 4, "export_quantization_method": "fp8"}, "not a number that the method does"),
    ({"export_quantization_bit": 4, "export_quant": "q8_0"}, "safetensors are not in export_to"),
    ({"export_quantization_bit": 4, "export_legacy_format": True}, "quantized weights are safetensors only"),
    ({"export_quantization_bit": 4, "dataset": None}, "look at how the model reads real text"),
]


@pytest.mark.parametrize(("settings", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_broken_rule_is_told_with_a_way_out(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        load_job([], {**GIVEN, **settings}, verb="export" if "export_" in str(settings) else "train")
    assert message in error.value.message and error.value.hint and error.value.field


def test_every_rule_is_tried() -> None:
    assert [rule.message for rule in RULES if not any(message in rule.message for _, message in BROKEN)] == []


HARMLESS: list[dict[str, Any]] = [
    {"streaming": True, "max_steps": 5, "val_size": 100},
    {"interleave_probs": "0.3,0.7", "dataset": "a,b", "mix_strategy": "interleave_once"},
    {"quantization_bit": 4, "adapter_name_or_path": "a"},
    {"add_tokens": "<x>,<y>"},
    {"pure_bf16": True, "bf16": True},
    {"precision": "bf16", "bf16": True},
    {**EVALUATING, "load_best_model_at_end": True, "eval_steps": 50, "save_steps": 100, "early_stopping_steps": 2},
    {**EVALUATING, "load_best_model_at_end": True},
    {"eval_dataset": "e", "eval_strategy": "epoch", "save_strategy": "best"},
    {"dataset": None, "tokenized_path": "saved"},
    {"neat_packing": True},
    {"stage": "pt", "packing": True},
    {"freeze_trainable_layers": 0, "freeze_extra_modules": "norm", "finetuning_type": "freeze"},
]


@pytest.mark.parametrize("settings", HARMLESS, ids=str)
def test_what_goes_together_is_accepted(settings: dict[str, Any]) -> None:
    load_job([], {**GIVEN, **settings}, verb="train")


def test_all_broken_rules_are_told_at_once() -> None:
    with pytest.raises(UserError) as error:
        load_job([], {**GIVEN, "bf16": True, "fp16": True, "early_stopping_steps": 2, "streaming": True}, verb="train")
    assert str(error.value).count("→") == 3


def test_rules_of_training_do_not_bother_chat() -> None:
    load_job([], {"model_name_or_path": "m", "streaming": True, "bf16": True, "fp16": True}, verb="chat")
    load_job([], {"dataset": "d", "eval_strategy": "steps"}, verb="data")


IDLE_SETTINGS: list[dict[str, Any]] = [
    {"finetuning_type": "full", "lora_rank": 64},
    {"adapter_name_or_path": "a", "lora_rank": 64, "lora_target": "q_proj", "use_dora": True},
    {"freeze_trainable_layers": 4},
    {"pissa_iter": 4},
    {"loraplus_lr_embedding": 1e-5},
    {"quantization_type": "fp4"},
    {"num_train_epochs": 5, "max_steps": 10},
    {"warmup_ratio": 0.1, "warmup_steps": 5},
    {"eval_steps": 5},
    {"predict_with_generate": True},
    {"do_eval": True, "eval_dataset": "e", "predict_base": True},
    {"buffer_size": 5},
    {"overwrite_output_dir": True, "resume_from_checkpoint": True},
]


IDLE_IN_EXPORT: list[dict[str, Any]] = [
    {"export_quantization_nsamples": 64},
    {"export_quantization_method": "fp8", "export_quantization_dataset": "a.txt", "export_quantization_maxlen": 64},
    {"export_ollama_base": "qwen2.5:7b", "export_ollama": "mine"},
]


@pytest.mark.parametrize("settings", IDLE_IN_EXPORT, ids=str)
def test_what_an_export_makes_no_use_of_is_said(settings: dict[str, Any]) -> None:
    notes = load_job([], {**GIVEN, **settings}, verb="export").notes
    assert len(notes) == 1 and "no effect, because" in notes[0]


@pytest.mark.parametrize("settings", IDLE_SETTINGS, ids=str)
def test_settings_without_effect_are_said(settings: dict[str, Any]) -> None:
    notes = load_job([], {**GIVEN, **settings}, verb="train").notes
    assert len(notes) == 1 and "no effect, because" in notes[0]


def test_every_idle_combination_is_tried() -> None:
    tried = {key for settings in IDLE_SETTINGS + IDLE_IN_EXPORT for key in settings}
    assert [idle.keys for idle in IDLE if not tried & set(idle.keys)] == []


def test_a_default_written_down_is_not_worth_a_word() -> None:
    assert (
        load_job([], {**GIVEN, "finetuning_type": "full", "lora_rank": 8, "lora_target": "all"}, verb="train").notes
        == ()
    )
