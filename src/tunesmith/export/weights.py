"""What every writer takes: a model about to be written, its weights not read yet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Weight:
    """One tensor as it will be written.

    name: as transformers saves it. read: makes the tensor, of `shape` and `dtype`, on the CPU and contiguous; nothing
    of it stays in memory but what the caller keeps.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Source:
    """A model, adapters included, as a stream of weights.

    config: config.json as it will be, in step with the weights (vocabulary size, tied or not). folder: where the
    tokenizer's files and generation_config.json lie. base, adapters: where the weights come from, for the lineage.
    repository: the hub id of the base, where it has one. notes: sentences that the user should see. settled: the
    folder holds everything that is to lie beside the weights, but for config.json.
    """

    weights: Sequence[Weight]
    config: Mapping[str, Any]
    folder: Path
    base: str
    adapters: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    settled: bool = False
    repository: str | None = None

    @property
    def nbytes(self) -> int:
        return sum(weight.nbytes for weight in self.weights)

    @property
    def largest(self) -> int:
        """Bytes of the largest weight."""
        return max((weight.nbytes for weight in self.weights), default=0)
