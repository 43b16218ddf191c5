"""A GGUF file as a normal model: a small folder with configuration and tokenizer, and a stream of its weights.

Downstream sees nothing of GGUF: the folder is like any model's but for the weights, and the model made from both can be
trained and saved.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, GenerationConfig, PreTrainedConfig

from tunesmith.models.gguf.architecture import Architecture, architecture_of, head_size
from tunesmith.models.gguf.file import GGUFFile, open_gguf
from tunesmith.models.gguf.rope import read_rope
from tunesmith.models.gguf.tokenizer import read_tokenizer, stop_ids

_VERSION = 1  # raise when the same file would give another folder


def materialize(path: Path, cache: Path) -> Path:
    """The folder with config.json, generation_config.json and the tokenizer of a GGUF file, made once per content."""
    file = open_gguf(path)
    folder = cache / "gguf" / f"{path.stem}-{file.fingerprint[:16]}-{_VERSION}"
    if folder.is_dir():
        return folder
    tokenizer = read_tokenizer(file)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    config = read_config(file)
    config.save_pretrained(aside)
    GenerationConfig(eos_token_id=stop_ids(file) or None, pad_token_id=config.pad_token_id).save_pretrained(aside)
    tokenizer.save_pretrained(aside)
    try:
        aside.replace(folder)
    except OSError:  # another process was faster
        shutil.rmtree(aside)
        if not folder.is_dir():
            raise
    return folder


def read_config(file: GGUFFile) -> PreTrainedConfig:
    """The Hugging Face configuration of a GGUF file."""
    architecture = architecture_of(file)
    settings: dict[str, Any] = architecture.settings(file)
    settings["rope_parameters"] = read_rope(file, head_size(settings))
    for role, theirs in (("bos_token_id", "bos"), ("eos_token_id", "eos"), ("pad_token_id", "padding")):
        settings[role] = file.metadata.get(f"tokenizer.ggml.{theirs}_token_id")
    config = AutoConfig.for_model(architecture.model_types[0], **settings)
    config.architectures = [type(_empty_model(config)).__name__]
    return config


def _empty_model(config: PreTrainedConfig) -> Any:
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def stream_weights(path: Path, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """(Hugging Face name, tensor of `dtype` in Hugging Face's layout) of every weight, dequantized one by one."""
    file = open_gguf(path)
    architecture: Architecture = architecture_of(file)
    config = architecture.settings(file)
    for name, stored in file.tensors.items():
        hf_name = architecture.hf_name(name)
        if hf_name is None:
            continue
        tensor = torch.empty(stored.rows, stored.shape[-1], dtype=dtype)
        done = 0
        for block in file.rows_of(name):
            tensor[done : done + len(block)].copy_(torch.from_numpy(block))
            done += len(block)
        yield hf_name, architecture.to_hf(hf_name, tensor.reshape(stored.shape), config)
