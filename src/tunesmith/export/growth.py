"""A vocabulary that is larger than the base's: embeddings with a row for each token, as training began with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from tokenizers import Tokenizer
from torch import Tensor

from tunesmith.export.deltas import AdapterFile
from tunesmith.models.gguf.file import open_gguf
from tunesmith.models.locate import LocalModel

_ROUND = 64  # as models/vocabulary.py grows embeddings


class BaseTensor(Protocol):
    """A tensor on disk. blocks: its rows [n, shape[-1]], the leading dimensions laid end to end."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def read(self, dtype: torch.dtype) -> Tensor: ...

    def blocks(self) -> Iterator[Tensor]: ...


@dataclass(frozen=True)
class NewTokens:
    """Tokens that the base has never seen. known: tokens it has. size: tokens now."""

    known: int
    size: int

    @property
    def rows(self) -> int:
        return -(-self.size // _ROUND) * _ROUND

    @classmethod
    def between(cls, located: LocalModel, folder: Path) -> NewTokens | None:
        """None where the tokenizer is the base's own."""
        if folder == located.path:
            return None
        ours = _token_count(folder)
        if located.kind == "gguf":
            theirs = len(open_gguf(located.path).metadata.get("tokenizer.ggml.tokens", ()))
        else:
            theirs = _token_count(located.path)
        return cls(theirs, ours) if ours > theirs > 0 else None


def _token_count(folder: Path) -> int:
    file = folder / "tokenizer.json"
    if not file.is_file():
        return 0
    return max(Tokenizer.from_file(str(file)).get_vocab(with_added_tokens=True).values(), default=-1) + 1


def rows_told(file: AdapterFile, embedding: str, head: str | None) -> int | None:
    """How many tokens the model had that an adapter was trained on, if its tensors tell."""
    for parameter in (embedding, head or embedding):
        module = f"base_model.model.{parameter.removesuffix('.weight')}"
        tokens_by = (("weight", 0), ("base_layer.weight", 0), ("lora_embedding_A", 1), ("lora_B.weight", 0))
        for name, dimension in tokens_by:
            if stored := file.stored.get(f"{module}.{name}"):
                return stored.shape[dimension]
    return None


@dataclass(frozen=True, slots=True)
class Grown:
    """An embedding with new rows, the mean of the known ones. rows: in all. fresh: rows of the base's that are new."""

    tensor: BaseTensor
    rows: int
    known: int
    fresh: range

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows, *self.tensor.shape[1:])

    def blocks(self) -> Iterator[Tensor]:
        if len(self.shape) > 1:
            yield from self._rows()
        else:
            yield torch.cat(list(self._rows())).view(1, -1)

    def read(self, dtype: torch.dtype) -> Tensor:
        result = torch.empty(self.shape, dtype=dtype)
        flat, first = result.view(self.rows, -1), 0
        for block in self._rows():
            flat[first : first + len(block)].copy_(block)
            first += len(block)
        return result

    def _rows(self) -> Iterator[Tensor]:
        mean, first = self._mean(), 0
        for block in self._stored_rows():
            block = block[: max(self.rows - first, 0)]
            block[max(self.fresh.start - first, 0) : max(self.fresh.stop - first, 0)] = mean.to(block.dtype)
            first += len(block)
            yield block
        if self.rows > first:
            yield mean.to(block.dtype).expand(self.rows - first, -1).contiguous()

    def _stored_rows(self) -> Iterator[Tensor]:
        """A row for each token, of a bias too."""
        return (block if len(self.shape) > 1 else block.view(-1, 1) for block in self.tensor.blocks())

    def _mean(self) -> Tensor:
        total, left = torch.zeros((), dtype=torch.float64), self.known
        for block in self._stored_rows():
            total = total + block[:left].sum(dim=0, dtype=torch.float64)
            left = max(left - len(block), 0)
        return (total / self.known).float()
