"""A model without weights: what its parameters are called and shaped, and where each lies in a checkpoint.

A checkpoint may name and cut its tensors otherwise than the model that transformers makes of it: the experts of a layer
lie apart on disk and are one tensor in memory. The tables for that are transformers'.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import Concatenate, MergeModulelist, WeightConverter, rename_source_key

from tunesmith.config.model import ModelConfig
from tunesmith.errors import UserError
from tunesmith.models.load import load_config


@dataclass(frozen=True, slots=True)
class Piece:
    """What of a parameter a tensor on disk is: all of it, or rows of one expert from `first` on.

    foreign: it is cut or turned in a way that is not known here.
    """

    parameter: str
    expert: int | None = None
    first: int = 0
    foreign: bool = False


@dataclass(frozen=True)
class Skeleton:
    """config: as the model will be, its vocabulary included."""

    config: PreTrainedConfig
    trust_remote_code: bool = False

    def with_text(self, **settings: Any) -> Skeleton:
        """The same with other settings of the language model."""
        config = copy.deepcopy(self.config)
        for name, value in settings.items():
            setattr(config.get_text_config(), name, value)
            if hasattr(config, name):
                setattr(config, name, value)
        return Skeleton(config, self.trust_remote_code)

    def fresh(self) -> PreTrainedModel:
        """The model on the meta device."""
        try:
            with torch.device("meta"):
                return AutoModelForCausalLM.from_config(self.config, trust_remote_code=self.trust_remote_code)
        except (ValueError, KeyError, ImportError, AttributeError, TypeError) as error:
            raise UserError(
                f"A {self.config.model_type} model can't be built here: {error}",
                hint="A newer transformers may know it: pip install -U transformers",
                field="model_name_or_path",
            ) from error

    @cached_property
    def _model(self) -> PreTrainedModel:
        return self.fresh()

    @cached_property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Name → shape; a tied weight has both its names."""
        return {name: tuple(each.shape) for name, each in self._model.named_parameters(remove_duplicate=False)}

    @cached_property
    def embedding(self) -> str:
        """Name of the input embedding."""
        return f"{self._name_of(self._model.get_input_embeddings())}.weight"

    @cached_property
    def head(self) -> str | None:
        """Name of the output head's weight."""
        head = self._model.get_output_embeddings()
        return None if head is None else f"{self._name_of(head)}.weight"

    @property
    def tied(self) -> bool:
        return self.head is not None and bool(self.config.get_text_config().tie_word_embeddings)

    def _name_of(self, module: Any) -> str:
        return next(name for name, each in self._model.named_modules() if each is module)

    @cached_property
    def _transforms(self) -> tuple[list[Any], list[Any]]:
        found = get_model_conversion_mapping(self._model)
        converters = [each for each in found if isinstance(each, WeightConverter)]
        return [each for each in found if each not in converters], converters

    def piece(self, name: str) -> Piece:
        """The place in the model of a tensor that the checkpoint calls `name`."""
        renamings, converters = self._transforms
        prefix = self._model.base_model_prefix
        parameter, pattern = rename_source_key(name, renamings, converters, prefix, self.parameters)
        if pattern is None:
            return Piece(parameter)
        converter = next(each for each in converters if pattern in each.source_patterns)
        return _cut(name, parameter, pattern, converter, self.parameters)


def _cut(name: str, parameter: str, pattern: str, converter: Any, shapes: Mapping[str, tuple[int, ...]]) -> Piece:
    """Experts that are stacked, their matrices joined by rows first where there are several."""
    kinds = [type(step) for step in converter.operations]
    joined = len(converter.source_patterns) > 1
    number = re.search(re.escape(pattern).replace(r"\*", r"(\d+)").lstrip("^"), name)
    dims = [getattr(step, "dim", None) for step in converter.operations]
    known = kinds == [MergeModulelist, Concatenate][: 1 + joined] and dims == [0, 1][: 1 + joined]
    if not known or number is None or len(shapes.get(parameter, ())) != 3:
        return Piece(parameter, foreign=True)
    rows = shapes[parameter][1] // len(converter.source_patterns)
    return Piece(parameter, int(number[1]), rows * converter.source_patterns.index(pattern))


def load_skeleton(folder: Path, trust_remote_code: bool) -> Skeleton:
    """The skeleton of a folder's config.json. UserError for an architecture that is unknown or not trusted."""
    model = ModelConfig(model_name_or_path=str(folder), trust_remote_code=trust_remote_code)
    config = load_config(folder, model)
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # what is merged is not quantized any more
    return Skeleton(config, trust_remote_code)
