"""A located model, loaded: configuration, weights in the dtype they are computed in, attention."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers import __version__ as transformers_version
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from tunesmith.config.model import ModelConfig
from tunesmith.errors import UserError, did_you_mean
from tunesmith.models import attention, internlm2
from tunesmith.models.gguf.materialize import stream_weights
from tunesmith.models.locate import LocalModel
from tunesmith.models.norms import upcast_norms, use_lean_norms
from tunesmith.models.precision import Precision
from tunesmith.models.prequantized import plain_weights
from tunesmith.models.quantize_on_load import quantization_config
from tunesmith.models.rope_scaling import stretch_positions
from tunesmith.models.shards import weight_files
from tunesmith.models.vocabulary import Vocabulary, fit_embeddings
from tunesmith.models.weights import all_plain, read_safetensors
from tunesmith.runs.files import read_json

Note = Callable[[str], None]
"""Takes a sentence that the user should see."""

FIELD = "model_name_or_path"


def load_model(
    model: ModelConfig,
    located: LocalModel,
    precision: Precision,
    vocabulary: Vocabulary,
    *,
    device: torch.device,
    training: bool,
    cutoff_len: int | None = None,
    note: Note = lambda sentence: None,
) -> PreTrainedModel:
    """The causal language model on `device`, every weight in `precision.compute`, in evaluation mode.

    vocabulary: of `prepare_vocabulary`; its folder has the configuration too. cutoff_len: what `rope_scaling` reaches.
    UserError for everything that is wrong with the model; nothing is ever left at random weights unasked.
    """
    config = load_config(vocabulary.folder, model)
    if model.rope_scaling and cutoff_len:
        config, sentence = stretch_positions(config, model.rope_scaling, cutoff_len)
        note(sentence)
    attend = choose_attention(model.flash_attn, device, training=training, note=note)
    loaded = _with_weights(model, located, config, precision, attend, vocabulary.folder, device, note)
    name = located.repository or str(located.path)
    loaded.config._name_or_path = loaded.name_or_path = name  # what an adapter will say it was trained on
    _settle_sampling(loaded)
    may_grow = model.resize_vocab or bool(vocabulary.new_ids)
    fit_embeddings(loaded, vocabulary, may_grow=may_grow)
    if training:
        use_lean_norms(loaded)
    if model.upcast_layernorm:
        upcast_norms(loaded)
    return loaded.eval()


def load_config(folder: Path, model: ModelConfig) -> PreTrainedConfig:
    """The configuration in a folder. UserError for an unknown architecture, or one that brings untrusted code."""
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'config.json'} can't be read: {error}.", field=FIELD) from error
    model_type = raw.get("model_type", "")
    if model_type == internlm2.MODEL_TYPE:
        return LlamaConfig.from_dict(internlm2.llama_config(raw))
    own_code = "AutoConfig" in raw.get("auto_map", {}) or "AutoModelForCausalLM" in raw.get("auto_map", {})
    if model_type not in CONFIG_MAPPING and not (own_code and model.trust_remote_code):
        if own_code:
            raise UserError(
                f"{model.model_name_or_path} brings Python code of its own that would run on this machine.",
                hint="Read the .py files of the model, and set trust_remote_code: true if you trust its author.",
                field="trust_remote_code",
            )
        raise UserError(
            f"{folder} is a model of type {model_type!r}, which transformers {transformers_version} does not know.",
            hint=did_you_mean(model_type, CONFIG_MAPPING) or "A newer transformers may: pip install -U transformers",
            field=FIELD,
        )
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=model.trust_remote_code)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{folder / 'config.json'} can't be used: {error}", field=FIELD) from error


def choose_attention(asked: str, device: torch.device, *, training: bool, note: Note) -> str:
    """transformers' name of the attention for `flash_attn`; what is not installed here is replaced, with a word."""
    attention.register()
    if asked == "disabled":
        return "eager"
    if asked in ("fa2", "fa3"):
        package = "flash_attn" if asked == "fa2" else "flash_attn_interface"
        if device.type == "cuda" and find_spec(package) is not None:
            return "flash_attention_2" if asked == "fa2" else "flash_attention_3"
        missing = f"the {package} package is not installed" if device.type == "cuda" else "there is no NVIDIA GPU"
        note(f"flash_attn: {asked} was not taken, {missing}; PyTorch's own fused attention is used.")
    return attention.ATTENTION_NAME if training else "sdpa"


def enable_gradient_checkpointing(model: PreTrainedModel) -> None:
    """Recompute activations in the backward pass. Call it before adapters are put on."""
    if not model.supports_gradient_checkpointing:
        raise UserError(
            f"{model.config.model_type} models can't recompute activations.",
            hint="Set gradient_checkpointing: false, with shorter rows or smaller batches if memory is short.",
            field="gradient_checkpointing",
        )
    # Renamed in transformers 5.20; both take the options of torch's checkpoint first.
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def _with_weights(
    model: ModelConfig,
    located: LocalModel,
    config: PreTrainedConfig,
    precision: Precision,
    attend: str,
    folder: Path,
    device: torch.device,
    note: Note,
) -> PreTrainedModel:
    quantize = quantization_config(model, precision, device)
    empty = _empty_model(config, model)
    able = getattr(empty, "_supports_sdpa" if attend == "sdpa" else "_supports_attention_backend", False)
    shared: dict[str, Any] = {"dtype": precision.compute, "attn_implementation": attend if able else None}
    if model.train_from_scratch:
        fresh = AutoModelForCausalLM.from_config(config, trust_remote_code=model.trust_remote_code, **shared)
        return fresh.to(device)
    streamed = _stream(located, config, precision.compute, device) if quantize is None else None
    if streamed is None:
        if located.kind == "gguf" or _is_internlm2(located):
            raise UserError(
                f"A base of this kind ({'GGUF' if located.kind == 'gguf' else 'InternLM2'}) can't be quantized while "
                "loading.",
                hint="Leave quantization_bit out, or give the model as a hub id or folder.",
                field="quantization_bit",
            )
        place = {"device_map": {"": device}, "quantization_config": quantize, "output_loading_info": True}
        trust = {"trust_remote_code": model.trust_remote_code}
        return _checked(AutoModelForCausalLM.from_pretrained, located.path, config=config, **place, **trust, **shared)
    if (folder / "generation_config.json").is_file():
        shared["generation_config"] = GenerationConfig.from_pretrained(folder)
    if getattr(empty.config, "quantization_config", None) is not None:
        del empty.config.quantization_config
        note("The model lies quantized on disk; here it is computed with, dequantized, as any other.")
    options = {"config": empty.config, "state_dict": streamed, "output_loading_info": True}
    return _checked(type(empty).from_pretrained, None, **options, **shared).to(device)


def _stream(
    located: LocalModel, config: PreTrainedConfig, dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor] | None:
    """The weights, read into `dtype` one by one; None where transformers' own loader does better or knows more."""
    if located.kind == "gguf":
        return dict(stream_weights(located.path, dtype))
    files = weight_files(located.path)
    settings = getattr(config, "quantization_config", None)
    plain = plain_weights(located.path, settings, dtype, device) if isinstance(settings, dict) else None
    if _is_internlm2(located):
        raw = json.loads((located.path / "config.json").read_text(encoding="utf-8"))
        return dict(internlm2.as_llama(iter(plain.items()) if plain else read_safetensors(files, dtype), raw))
    if plain is not None or settings is not None:
        return plain
    if device.type != "cpu" or not all_plain(files):
        return None
    return dict(read_safetensors(files, dtype))


def _is_internlm2(located: LocalModel) -> bool:
    told = read_json(located.path / "config.json") if located.kind == "folder" else None
    return (told or {}).get("model_type") == internlm2.MODEL_TYPE


def _checked(load: Callable[..., Any], path: Path | None, **options: Any) -> PreTrainedModel:
    """Load, and refuse a model of which a part would stay random."""
    try:
        loaded, info = load(path, **options)
    except (RuntimeError, ValueError, ImportError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise UserError(f"The model can't be loaded: {first}", field=FIELD) from error
    wrong = sorted(info["missing_keys"]) + sorted(str(key) for key in info.get("mismatched_keys", ()))
    if wrong:
        raise UserError(
            f"{len(wrong)} weights that config.json asks for are not in the model's files, for example {wrong[0]}.",
            hint="The files don't belong together, or are of a model without a language head; download it again.",
            field=FIELD,
        )
    assert isinstance(loaded, PreTrainedModel)
    return loaded


def _empty_model(config: PreTrainedConfig, model: ModelConfig) -> PreTrainedModel:
    """The model without storage. UserError if the architecture is not a causal language model."""
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=model.trust_remote_code)
    except ValueError as error:
        raise UserError(
            f"{config.model_type} is not a causal language model, so it can't be trained to answer.",
            hint="Choose a text generation model.",
            field=FIELD,
        ) from error


def _settle_sampling(model: PreTrainedModel) -> None:
    """Some published models set a temperature but no sampling, which transformers then refuses to save."""
    settings = model.generation_config
    if settings is None or settings.do_sample:
        return
    if any(getattr(settings, name, None) not in (None, 1.0) for name in ("temperature", "top_p", "typical_p")):
        settings.do_sample = True
