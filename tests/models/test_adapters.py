"""What is trained, and that what was trained can be saved, loaded, merged and continued."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tunesmith.config.adapter import AdapterConfig
from tunesmith.config.model import ModelConfig
from tunesmith.config.optimizer import OptimizerConfig
from tunesmith.errors import UserError
from tunesmith.models.adapter_files import another_base, before_training
from tunesmith.models.adapters import apply_tuning, count_parameters
from tunesmith.models.groups import parameter_groups
from tunesmith.models.saving import save_tuned

IDS = torch.tensor([[5, 300, 17, 42, 120, 9]])
SOURCE = ModelConfig(model_name_or_path="tiny")
TinyModel = Callable[..., Path]


def base(folder: Path, dtype: torch.dtype = torch.float32) -> AutoModelForCausalLM:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)


def trained(model: torch.nn.Module) -> list[str]:
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def nudge(model: torch.nn.Module) -> torch.Tensor:
    """Change what is trained, as training would; returns the logits afterwards."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return logits(model)


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits.float()


def tuned_and_saved(folder: Path, target: Path, **settings: object) -> torch.Tensor:
    model = apply_tuning(base(folder), AdapterConfig(**settings), SOURCE)
    after = nudge(model)
    save_tuned(model, folder, target, plain_lora=bool(settings.get("pissa_convert")))
    return after


def test_all_means_every_linear_layer_but_the_head(tiny_model_dir: TinyModel) -> None:
    model = apply_tuning(base(tiny_model_dir("llama")), AdapterConfig(lora_rank=4), SOURCE)
    adapted = {name.split(".lora_")[0].rpartition(".")[2] for name in trained(model)}
    assert adapted == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert model.peft_config["default"].lora_alpha == 8  # twice the rank


def test_adapters_are_trained_from_float32_and_used_in_the_compute_dtype(
    tiny_model_dir: TinyModel, tmp_path: Path
) -> None:
    folder = tiny_model_dir()
    fresh = apply_tuning(base(folder, torch.bfloat16), AdapterConfig(), SOURCE)
    save_tuned(fresh, folder, tmp_path)
    given = AdapterConfig(adapter_name_or_path=(str(tmp_path),))
    goes_on = apply_tuning(base(folder, torch.bfloat16), given, SOURCE)
    for model in (fresh, goes_on):
        dtypes = {(parameter.requires_grad, parameter.dtype) for parameter in model.parameters()}
        assert dtypes == {(True, torch.float32), (False, torch.bfloat16)}
    used = apply_tuning(base(folder, torch.bfloat16), given, SOURCE, is_trainable=False)
    assert {parameter.dtype for parameter in used.parameters()} == {torch.bfloat16}


def test_a_wrong_target_lists_the_names_of_this_model(tiny_model_dir: TinyModel) -> None:
    with pytest.raises(UserError) as told:
        apply_tuning(base(tiny_model_dir()), AdapterConfig(lora_target=("q_porj",)), SOURCE)
    assert told.value.field == "lora_target"
    assert (
        "q_porj" in told.value.message and "Did you mean q_proj" in told.value.hint and "down_proj" in told.value.hint
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"use_dora": True},
        {"lora_target": ("q_proj", "v_proj"), "additional_target": ("embed_tokens",)},
        {"pissa_init": True, "pissa_convert": True, "lora_rank": 4},
        {"pissa_init": True, "pissa_convert": True, "lora_rank": 4, "use_rslora": True},
        {"pissa_init": True, "pissa_iter": -1},
        {"pissa_init": True},
    ],
    ids=str,
)
def test_a_saved_adapter_says_the_same_on_its_base(
    tiny_model_dir: TinyModel, tmp_path: Path, settings: dict[str, object]
) -> None:
    folder = tiny_model_dir("qwen3")
    after = tuned_and_saved(folder, tmp_path / "adapter", **settings)
    again = apply_tuning(
        base(folder), AdapterConfig(adapter_name_or_path=(str(tmp_path / "adapter"),)), SOURCE, is_trainable=False
    )
    assert not torch.allclose(after, logits(base(folder)), atol=1e-2), "the adapter does nothing"
    assert torch.allclose(logits(again), after, atol=1e-4)
    assert trained(again) == []


def test_converted_pissa_works_in_peft_alone(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    folder = tiny_model_dir("llama")
    after = tuned_and_saved(folder, tmp_path / "adapter", pissa_init=True, pissa_convert=True)
    plain = PeftModel.from_pretrained(base(folder), tmp_path / "adapter")
    assert torch.allclose(logits(plain), after, atol=1e-4)


def test_pissa_starts_as_the_base_itself(tiny_model_dir: TinyModel) -> None:
    folder = tiny_model_dir("llama")
    model = apply_tuning(base(folder), AdapterConfig(pissa_init=True), SOURCE)
    assert torch.allclose(logits(model), logits(base(folder)), atol=1e-4)


def test_all_but_the_last_adapter_are_merged_and_the_last_goes_on(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    folder = tiny_model_dir("qwen2")
    tuned_and_saved(folder, tmp_path / "one", lora_rank=2)
    tuned_and_saved(folder, tmp_path / "two", lora_rank=4)
    both = (str(tmp_path / "one"), str(tmp_path / "two"))
    goes_on = apply_tuning(base(folder), AdapterConfig(adapter_name_or_path=both), SOURCE)
    assert goes_on.peft_config["default"].r == 4 and len(trained(goes_on)) > 0
    fresh = apply_tuning(base(folder), AdapterConfig(adapter_name_or_path=both, create_new_adapter=True), SOURCE)
    assert fresh.peft_config["default"].r == 8
    # A new adapter starts as nothing, so both say base + one + two.
    assert torch.allclose(logits(goes_on), logits(fresh), atol=1e-4)


def test_masters_are_what_an_adapter_is_saved_from(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = tiny_model_dir("llama")
    model = apply_tuning(base(folder, torch.bfloat16), AdapterConfig(), SOURCE)
    masters = {
        name: torch.full_like(p, 1 / 3, dtype=torch.float32) for name, p in model.named_parameters() if p.requires_grad
    }
    save_tuned(model, folder, tmp_path / "adapter", masters=masters)
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert len(saved) == len(masters)
    assert all(each.dtype == torch.float32 and bool((each == 1 / 3).all()) for each in saved.values())


def test_a_full_model_is_saved_whole_with_its_tokenizer(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    folder = tiny_model_dir("qwen3")
    after = tuned_and_saved(folder, tmp_path / "model", finetuning_type="full")
    names = {file.name for file in (tmp_path / "model").iterdir()}
    assert names >= {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    }
    assert torch.allclose(logits(base(tmp_path / "model")), after, atol=1e-5)


def test_a_failed_save_leaves_the_old_one_whole(
    tiny_model_dir: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, target = tiny_model_dir(), tmp_path / "adapter"
    tuned_and_saved(folder, target)
    before = {file.name: file.read_bytes() for file in target.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(UserError, match="No space left"):
        tuned_and_saved(folder, target, lora_rank=2)
    assert {file.name: file.read_bytes() for file in target.iterdir()} == before


def test_an_adapter_of_another_base_is_refused(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    tuned_and_saved(tiny_model_dir("llama"), tmp_path / "narrow")
    tuned_and_saved(tiny_model_dir("llama", num_hidden_layers=3), tmp_path / "deep")
    for target, adapter in [
        (tiny_model_dir("llama", hidden_size=32, head_dim=16), "narrow"),  # other widths
        (tiny_model_dir("llama"), "deep"),  # fewer layers than the adapter knows
        (tiny_model_dir("llama", num_hidden_layers=3), "narrow"),  # more layers
        (tiny_model_dir("phi3"), "narrow"),  # other names
    ]:
        settings = AdapterConfig(adapter_name_or_path=(str(tmp_path / adapter),))
        with pytest.raises(UserError, match="does not fit this model") as told:
            apply_tuning(base(target), settings, SOURCE)
        assert told.value.field == "adapter_name_or_path" and "trained on" in told.value.hint


def test_what_is_no_adapter_is_told_so(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    folder = tiny_model_dir()
    tuned_and_saved(folder, tmp_path / "run" / "checkpoint-3")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "adapter_config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "bin" / "adapter_model.bin").write_bytes(b"")
    for asked, message in [
        (folder, "is a whole model"),
        (tmp_path / "run", "checkpoint-3"),
        (tmp_path / "bin", "a pickle"),
        (tmp_path / "rum", "Did you mean run"),
    ]:
        with pytest.raises(UserError) as told:
            apply_tuning(base(folder), AdapterConfig(adapter_name_or_path=(str(asked),)), SOURCE)
        assert message in str(told.value)


def test_freeze_trains_the_last_or_first_layers_and_extra_modules(tiny_model_dir: TinyModel) -> None:
    folder = tiny_model_dir("llama", num_hidden_layers=4)

    def names(**settings: object) -> set[str]:
        model = apply_tuning(base(folder), AdapterConfig(finetuning_type="freeze", **settings), SOURCE)
        return {".".join(name.split(".")[:4]) for name in trained(model)}

    last = names(freeze_trainable_layers=2, freeze_trainable_modules=("mlp",))
    assert last == {"model.layers.2.mlp", "model.layers.3.mlp"}
    first = names(freeze_trainable_layers=-1, freeze_trainable_modules=("q_proj",), freeze_extra_modules=("norm",))
    assert first == {"model.layers.0.self_attn", "model.norm.weight"}


@pytest.mark.parametrize(
    ("settings", "field", "words"),
    [
        ({"freeze_trainable_layers": 9}, "freeze_trainable_layers", "has 2 layers"),
        ({"freeze_trainable_modules": ("mpl",)}, "freeze_trainable_modules", "Did you mean mlp"),
        ({"freeze_extra_modules": ("embed_token",)}, "freeze_extra_modules", "Did you mean embed_tokens"),
    ],
)
def test_freeze_refuses_what_the_model_has_not(
    tiny_model_dir: TinyModel, settings: dict[str, object], field: str, words: str
) -> None:
    with pytest.raises(UserError) as told:
        apply_tuning(base(tiny_model_dir()), AdapterConfig(finetuning_type="freeze", **settings), SOURCE)
    assert told.value.field == field and words in str(told.value)


def test_loraplus_gives_b_matrices_their_own_rate_and_covers_everything(tiny_model_dir: TinyModel) -> None:
    adapter = AdapterConfig(loraplus_lr_ratio=16)
    model = apply_tuning(base(tiny_model_dir()), adapter, SOURCE)
    groups = parameter_groups(model, OptimizerConfig(learning_rate=1e-4, weight_decay=0.1), adapter)
    rates = {name: group.learning_rate for group in groups for name in group.names}
    assert sorted(rates) == sorted(trained(model))
    assert {rate for name, rate in rates.items() if "lora_A" in name} == {1e-4}
    assert {rate for name, rate in rates.items() if "lora_B" in name} == {16e-4}


def test_norms_and_biases_are_not_decayed(tiny_model_dir: TinyModel) -> None:
    adapter = AdapterConfig(finetuning_type="full")
    model = apply_tuning(base(tiny_model_dir("qwen2")), adapter, SOURCE)
    decays = {
        n: g.weight_decay for g in parameter_groups(model, OptimizerConfig(weight_decay=0.1), adapter) for n in g.names
    }
    assert decays["model.norm.weight"] == decays["model.layers.0.self_attn.q_proj.bias"] == 0.0
    assert decays["model.layers.0.self_attn.q_proj.weight"] == 0.1


def test_the_summary_counts_what_is_trained(tiny_model_dir: TinyModel) -> None:
    model = apply_tuning(base(tiny_model_dir()), AdapterConfig(lora_target=("q_proj",), lora_rank=2), SOURCE)
    counted = count_parameters(model)
    assert counted.trainable == 2 * 2 * (64 + 64)  # layers x rank x (in + out)
    assert str(counted).startswith("512 of ")


def test_continued_pissa_converts_as_a_new_one_does(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    folder = tiny_model_dir("llama")
    for name, converted in (("left", False), ("plain", True)):
        tuned_and_saved(folder, tmp_path / name, pissa_init=True, lora_rank=4, pissa_convert=converted)
        given = AdapterConfig(adapter_name_or_path=(str(tmp_path / name),), pissa_init=True, pissa_convert=True)
        goes_on = apply_tuning(base(folder), given, SOURCE)
        after = nudge(goes_on)
        save_tuned(goes_on, folder, tmp_path / "again", plain_lora=True)
        plain = PeftModel.from_pretrained(base(folder), tmp_path / "again")
        assert plain.peft_config["default"].r == 8 and plain.peft_config["default"].init_lora_weights is True
        assert torch.allclose(logits(plain), after, atol=1e-4), name


@pytest.mark.parametrize("settings", [{}, {"pissa_init": True}, {"pissa_init": True, "pissa_convert": True}], ids=str)
def test_the_model_before_training_can_still_be_asked(
    tiny_model_dir: TinyModel, tmp_path: Path, settings: dict[str, object]
) -> None:
    folder = tiny_model_dir("llama")
    after = tuned_and_saved(folder, tmp_path / "adapter", **settings)
    given = AdapterConfig(adapter_name_or_path=(str(tmp_path / "adapter"),))
    model = apply_tuning(base(folder), given, SOURCE, is_trainable=False)
    with before_training(model):
        assert torch.allclose(logits(model), logits(base(folder)), atol=1e-4)
    assert torch.allclose(logits(model), after, atol=1e-4)


def test_an_adapter_that_names_another_base_is_put_on_with_a_word(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    folder = tiny_model_dir("qwen3")
    tuned_and_saved(folder, tmp_path / "adapter")
    given = AdapterConfig(adapter_name_or_path=(str(tmp_path / "adapter"),))
    said: dict[str, list[str]] = {}
    for name in (str(folder), f"somebody/{folder.name.upper()}", "Llama-3.2-1B", ""):
        model, said[name] = base(folder), []
        model.name_or_path = name
        apply_tuning(model, given, SOURCE, note=said[name].append)
    told = [name for name, notes in said.items() if any("trained on" in note for note in notes)]
    assert told == ["Llama-3.2-1B"]


def test_folders_of_one_name_that_hold_different_models_are_another_base(
    tiny_model_dir: TinyModel, tmp_path: Path
) -> None:
    folder = tiny_model_dir("qwen3")
    tuned_and_saved(folder, tmp_path / "adapter")
    model = base(folder)
    for name, changed, told in [("same", {"transformers_version": "9"}, False), ("other", {"hidden_size": 32}, True)]:
        other = tmp_path / name / folder.name
        other.mkdir(parents=True)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (other / "config.json").write_text(json.dumps(config | changed), encoding="utf-8")
        model.name_or_path = str(other)
        sentence = another_base(model, tmp_path / "adapter")
        assert bool(sentence) == told and (not told or (str(folder) in sentence and str(other) in sentence))
