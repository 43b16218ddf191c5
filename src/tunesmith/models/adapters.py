"""What of a model is trained: a LoRA adapter, some layers, or everything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tunesmith.config.adapter import AdapterConfig
from tunesmith.config.model import ModelConfig
from tunesmith.errors import UserError, did_you_mean
from tunesmith.models.adapter_files import another_base, locate_adapter, merge, put_on
from tunesmith.models.freeze import train_layers
from tunesmith.models.pissa import remember_start

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ParameterCount:
    trainable: int
    total: int

    def __str__(self) -> str:
        return f"{self.trainable:,} of {self.total:,} parameters are trained ({self.trainable / self.total:.2%})"


def apply_tuning(
    model: PreTrainedModel,
    adapter: AdapterConfig,
    source: ModelConfig,
    *,
    new_ids: Sequence[int] = (),
    is_trainable: bool = True,
    note: Note = lambda sentence: None,
) -> PreTrainedModel | PeftModel:
    """The model with `requires_grad` on exactly what is trained.

    Adapters that are trained come in float32, for masters to be taken from; everything else keeps its compute dtype.

    new_ids: tokens the base has never seen; with LoRA their embedding rows are trained too. is_trainable: False for
    chat, where adapters are put on and nothing is trained. UserError for names or adapters that don't fit the model.
    """
    model.requires_grad_(False)
    paths = [locate_adapter(asked, adapter, source) for asked in adapter.adapter_name_or_path]
    if paths and source.quantization_bit and (len(paths) > 1 or adapter.create_new_adapter):
        raise UserError(
            "Adapters can't be merged into a quantized base.",
            hint="Leave quantization_bit out, or give one adapter and no create_new_adapter.",
            field="adapter_name_or_path",
        )
    lora = adapter.finetuning_type == "lora"
    kept = paths[-1:] if lora and not adapter.create_new_adapter else []
    for path in paths:
        if sentence := another_base(model, path):
            note(sentence)
    for path in paths[: len(paths) - len(kept)]:
        model = merge(model, path)
        note(f"Merged the adapter {path} into the base.")
    if kept:
        last = kept[0]
        note(f"Training goes on in the adapter {last}." if is_trainable else f"Using the adapter {last}.")
        return put_on(model, kept[0], trainable=is_trainable)
    if not is_trainable:
        return model
    if lora:
        return _new_lora(model, adapter, source, new_ids)
    if adapter.finetuning_type == "freeze":
        train_layers(model, adapter)
    else:
        model.requires_grad_(True)
    return model


def count_parameters(model: nn.Module) -> ParameterCount:
    """Trained and all parameters; 4-bit weights count as what they stand for."""
    sizes = [(_numel(parameter), parameter.requires_grad) for parameter in model.parameters()]
    return ParameterCount(sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes))


def linear_names(model: PreTrainedModel) -> list[str]:
    """Last names of all linear layers but the output head (`q_proj`, `down_proj` …): what `lora_target: all` means."""
    head = model.get_output_embeddings()
    found = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    }
    return sorted(name for name in found if not name.isdigit())


def _new_lora(model: PreTrainedModel, adapter: AdapterConfig, source: ModelConfig, new_ids: Sequence[int]) -> PeftModel:
    if adapter.pissa_init and source.quantization_bit:
        raise UserError(
            "pissa_init needs the unquantized weights.", hint="Leave quantization_bit out.", field="pissa_init"
        )
    extra = _whole_modules(model, adapter.additional_target)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter.lora_rank,
        lora_alpha=adapter.lora_alpha or 2 * adapter.lora_rank,
        lora_dropout=adapter.lora_dropout,
        target_modules=_targets(model, adapter.lora_target),
        modules_to_save=extra or None,
        use_rslora=adapter.use_rslora,
        use_dora=adapter.use_dora,
        init_lora_weights=_initialization(adapter),
        trainable_token_indices=_new_rows(model, new_ids, extra),
        ensure_weight_tying=_is_tied(model) and not set(extra).isdisjoint(_vocabulary_layers(model)),
    )
    with torch.random.fork_rng(enabled=adapter.pissa_init):
        if adapter.pissa_init:
            torch.manual_seed(0)  # the fast factorization is random; a resumed run must find the same
        adapted = get_peft_model(model, config)
    if adapter.pissa_init:
        remember_start(adapted)
    assert isinstance(adapted, PeftModel)
    return adapted


def _initialization(adapter: AdapterConfig) -> bool | str:
    if not adapter.pissa_init:
        return True
    return "pissa" if adapter.pissa_iter == -1 else f"pissa_niter_{adapter.pissa_iter}"


def _targets(model: PreTrainedModel, asked: Sequence[str]) -> list[str]:
    if "all" in asked:
        return linear_names(model)
    adaptable = (nn.Linear, Conv1D, nn.Embedding)
    names = {name for name, module in model.named_modules() if isinstance(module, adaptable)}
    return _known(asked, names, "lora_target", "linear layer")


def _known(asked: Iterable[str], names: Iterable[str], field: str, kind: str) -> list[str]:
    """The asked names, each the end of some module's name; UserError listing what there is otherwise."""
    full = list(names)
    short = sorted({name.rpartition(".")[2] for name in full if name})
    for name in asked:
        if not any(each == name or each.endswith("." + name) for each in full):
            raise UserError(
                f"{field}: this model has no {kind} called {name!r}.",
                hint=f"{did_you_mean(name, short)} It has {', '.join(short)}.".strip(),
                field=field,
            )
    return list(asked)


def _whole_modules(model: PreTrainedModel, asked: Sequence[str]) -> list[str]:
    """Full names of the modules meant: peft would take `norm` for `input_layernorm` too."""
    names = [name for name, _ in model.named_modules() if name and not re.search(r"\.\d+$", name)]
    known = _known(asked, names, "additional_target", "module")
    return [name for name in names if any(name == each or name.endswith("." + each) for each in known)]


def _new_rows(model: PreTrainedModel, new_ids: Sequence[int], extra: Sequence[str]) -> dict[str, list[int]] | None:
    """Embedding module → rows that are trained; a tied head follows by itself."""
    layers = _vocabulary_layers(model)[: 1 if _is_tied(model) else 2]
    wanted = [name for name in layers if name not in extra]
    return {name: list(new_ids) for name in wanted} if new_ids and wanted else None


def _vocabulary_layers(model: PreTrainedModel) -> list[str]:
    """Full names of the embedding and of the head."""
    names = {id(module): name for name, module in model.named_modules()}
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    return [names[id(layer)] for layer in layers if layer is not None]


def _is_tied(model: PreTrainedModel) -> bool:
    head = model.get_output_embeddings()
    return head is not None and head.weight is model.get_input_embeddings().weight


def _numel(parameter: nn.Parameter) -> int:
    if type(parameter).__name__ == "Params4bit":  # bitsandbytes packs two weights into a byte of its storage type
        return parameter.numel() * 2 * parameter.element_size()
    return parameter.numel()
