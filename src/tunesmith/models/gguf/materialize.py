"""A GGUF file as a normal model: a small folder with configuration and tokenizer, and a stream of its weights.

Downstream sees nothing of GGUF: the folder is like any model's but for the weights, and the model made from both can be
trained and saved.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    for weight in list_weights(path):
        yield weight.name, weight.read(dtype)


@dataclass(frozen=True, slots=True)
class LazyWeight:
    """A weight of a GGUF file, not read yet. name: Hugging Face's. shape: in Hugging Face's layout.

    expert: which of the matrices of the stored tensor, None for the whole of it.
    """

    file: GGUFFile
    architecture: Architecture
    settings: Mapping[str, Any]
    stored: str
    name: str
    expert: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        shape = self.file.tensors[self.stored].shape
        return shape if self.expert is None else shape[1:]

    def read(self, dtype: torch.dtype) -> Tensor:
        """The tensor in `dtype` and Hugging Face's layout."""
        # Norms that are stored with one added are near one: rounded before it is taken off, little would be left.
        exact = torch.float32 if len(self.shape) == 1 else dtype
        tensor = torch.empty(math.prod(self.shape[:-1]), self.shape[-1], dtype=exact)
        done = 0
        for block in self._stored_rows():
            tensor[done : done + len(block)].copy_(block)
            done += len(block)
        return self.architecture.to_hf(self.name, tensor.reshape(self.shape), self.settings).to(dtype)

    def blocks(self) -> Iterator[Tensor]:
        """The tensor as float32 blocks of its rows [n, shape[-1]]; one block where the layouts differ."""
        if self.architecture.transform(self.name) is None:
            yield from self._stored_rows()
        else:
            yield self.read(torch.float32).reshape(-1, self.shape[-1])

    def _stored_rows(self) -> Iterator[Tensor]:
        rows = math.prod(self.shape[:-1])
        first = (self.expert or 0) * rows
        return map(torch.from_numpy, self.file.rows_of(self.stored, first, first + rows))


def list_weights(path: Path) -> list[LazyWeight]:
    """Every weight of a GGUF file in the file's order, the experts of a layer one by one."""
    file = open_gguf(path)
    architecture = architecture_of(file)
    settings = architecture.settings(file)
    found = []
    for stored, tensor in file.tensors.items():
        if len(tensor.shape) == 3:
            names = architecture.hf_names(stored, experts=tensor.shape[0])
            found += [LazyWeight(file, architecture, settings, stored, name, i) for i, name in enumerate(names)]
        else:
            names = architecture.hf_names(stored)
            found += [LazyWeight(file, architecture, settings, stored, name) for name in names]
    return found
