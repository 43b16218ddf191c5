"""The only types that cross data, models, objectives and training."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch, rows laid end to end without padding. N tokens, S rows.

    input_ids: int64 [N]. targets: int64 [N], the token that follows within its row (the last of a row: 0, weight 0).
    weights: float32 [N], weight of that target in the loss; 0 = context. positions: int64 [N], from 0 in each segment.
    cu_seqlens: int32 [S+1], row borders, 0 … N. A packed row is several segments: attention never crosses a border
    unless the job packs without borders (`packing` without `neat_packing`), where one segment is the whole pack.
    """

    input_ids: Tensor
    targets: Tensor
    weights: Tensor
    positions: Tensor
    cu_seqlens: Tensor

    @property
    def tokens(self) -> int:
        return int(self.input_ids.numel())

    @property
    def trained(self) -> int:
        return int((self.weights != 0).sum())

    def to(self, device: torch.device | str) -> Batch:
        move = {name: getattr(self, name).to(device, non_blocking=True) for name in self.__slots__}
        return Batch(**move)


@dataclass(frozen=True, slots=True)
class Scores:
    """What a policy says of a batch, at its M trained positions (weight ≠ 0), in order.

    logprobs: float32 [M], log p(target). weights: float32 [M]. rows: int64 [M], the segment each position belongs to.
    correct: bool [M], whether the target was the most likely token.
    """

    logprobs: Tensor
    weights: Tensor
    rows: Tensor
    correct: Tensor


@dataclass(frozen=True, slots=True)
class LossSum:
    """A sum and what it is to be divided by, never a mean: any split of a step over micro-batches then agrees.

    value: float32 scalar with gradient. metrics: name → (sum, count).
    """

    value: Tensor
    metrics: dict[str, tuple[float, float]] = field(default_factory=dict)
