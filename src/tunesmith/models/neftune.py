"""NEFTune (https://arxiv.org/abs/2310.05914): uniform noise on the embeddings while training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.models.score import causal_model


@contextmanager
def embedding_noise(model: nn.Module, alpha: float | None) -> Iterator[None]:
    """Within the block, embeddings of a model in training mode get uniform noise in ±alpha / √(L·d).

    L: tokens in the row, also where rows lie end to end; d: width. alpha None or 0: nothing happens.
    """
    if not alpha:
        yield
        return
    causal = causal_model(model)
    borders: list[Tensor | None] = [None]  # of the batch that is on its way through the decoder

    def note_borders(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        borders[0] = kwargs.get("cu_seq_lens_q")

    def add_noise(module: nn.Module, _: Any, output: Tensor) -> Tensor:
        if not module.training:
            return output
        lengths = _row_lengths(output, borders[0])
        bound = (alpha / (lengths * output.shape[-1]).sqrt()).to(output.dtype)
        return output + torch.empty_like(output).uniform_(-1, 1) * bound

    decoder, embeddings = causal.get_decoder(), causal.get_input_embeddings()
    handles = [
        decoder.register_forward_pre_hook(note_borders, with_kwargs=True),
        embeddings.register_forward_hook(add_noise),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _row_lengths(output: Tensor, borders: Tensor | None) -> Tensor:
    """float32, broadcast against [rows, tokens, width]: the length of the row each token belongs to."""
    if borders is None:
        return torch.tensor(float(output.shape[-2]), device=output.device)
    lengths = borders.diff().float()
    return lengths.repeat_interleave(borders.diff())[None, :, None]
