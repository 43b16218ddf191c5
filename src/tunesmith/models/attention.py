"""Causal attention over rows laid end to end, registered under a name of our own in transformers' attention interface.

No model code is touched: a decoder called with `cu_seq_lens_q` (the row borders) reaches `segment_attention`, which
never looks across a border. On CUDA it is one varlen kernel; elsewhere each row is attended on its own, which does a
fraction of the work of a block-diagonal mask.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

ATTENTION_NAME = "tunesmith_segments"

# Below this many bytes of probabilities per row, plain matrix products beat the fused CPU kernel (2.5 x at 110 tokens,
# 1.4 x at 512, bf16, forward and backward); above, the fused kernel's memory wins.
_PLAIN_BYTES = 8 << 20

# Masks up to this size are kept: the layers of a pass ask for the same ones. Above, making one is cheap beside its use.
_KEPT_BYTES = 4 << 20


def register() -> None:
    """Make ATTENTION_NAME known to transformers; calling it again changes nothing."""
    AttentionInterface.register(ATTENTION_NAME, segment_attention)
    AttentionMaskInterface.register(ATTENTION_NAME, _no_mask)


def segment_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """query [1, H, N, D], key and value [1, K, N, D] → [1, N, H, D]; cu_seq_lens_q int32 [S+1], borders 0 … N.

    Raises NotImplementedError for attention sinks, which the run-start probe answers with padded batches.
    """
    if s_aux is not None:
        raise NotImplementedError("attention sinks")
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    borders = [0, query.shape[2]] if cu_seq_lens_q is None else cu_seq_lens_q.tolist()
    if cu_seq_lens_q is not None and softcap is None and not dropout and _has_varlen(query):
        return _varlen(query, key, value, cu_seq_lens_q, max_length_q, scale, sliding_window), None
    rows = [
        _attend(query[:, :, a:b], key[:, :, a:b], value[:, :, a:b], scale, dropout, sliding_window, softcap)
        for a, b in pairwise(borders)
    ]
    return torch.cat(rows, dim=2).transpose(1, 2), None


def _no_mask(*_: Any, **__: Any) -> None:
    """Borders travel as `cu_seq_lens_q`; a [N, N] mask is never built."""
    return None


def _attend(
    q: Tensor, k: Tensor, v: Tensor, scale: float, dropout: float, window: int | None, softcap: float | None
) -> Tensor:
    heads, length, _ = q.shape[1:]
    window = window if window is not None and window < length else None
    small = heads * length * length * q.element_size() <= _PLAIN_BYTES
    if softcap is not None or (q.shape[0] == 1 and not q.is_cuda and small and not dropout):
        return _plain(q, k, v, scale, window, softcap)
    mask = None if window is None else _causal_bias(length, 1, window, q.dtype, q.device)[None]
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale, dropout_p=dropout, enable_gqa=True
    )


def _plain(q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, softcap: float | None) -> Tensor:
    batch, heads, length, width = q.shape
    shared = k.shape[1]
    groups = heads // shared
    grouped = q.reshape(batch * shared, groups * length, width)
    k, v = k.reshape(batch * shared, length, width), v.reshape(batch * shared, length, v.shape[-1])
    if softcap is None:
        bias = _causal_bias(length, groups, window, q.dtype, q.device)
        scores = torch.baddbmm(bias[None], grouped, k.transpose(1, 2), alpha=scale)
    else:
        scores = torch.tanh(torch.bmm(grouped, k.transpose(1, 2)) * (scale / softcap)) * softcap
        bias = _causal_bias(length, 1, window, q.dtype, q.device)
        scores = (scores.view(-1, groups, length, length) + bias).view_as(scores)
    return torch.bmm(torch.softmax(scores, dim=-1), v).view(batch, heads, length, v.shape[-1])


def _causal_bias(length: int, groups: int, window: int | None, dtype: torch.dtype, device: torch.device) -> Tensor:
    small = groups * length * length * dtype.itemsize <= _KEPT_BYTES
    return (_kept_bias if small else _new_bias)(length, groups, window, dtype, device)


def _new_bias(length: int, groups: int, window: int | None, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[groups * length, length]: 0 where a query may look, -inf elsewhere."""
    position = torch.arange(length, device=device)
    distance = position[:, None] - position[None, :]
    hidden = distance < 0 if window is None else (distance < 0) | (distance >= window)
    bias = torch.zeros(length, length, dtype=dtype, device=device).masked_fill_(hidden, -torch.inf)
    return bias if groups == 1 else bias.repeat(groups, 1)


_kept_bias = lru_cache(maxsize=64)(_new_bias)


def _has_varlen(query: Tensor) -> bool:
    """Whether FlashAttention takes this: half precision, on a card of the Ampere generation or later."""
    half = query.dtype in (torch.float16, torch.bfloat16)
    return query.is_cuda and half and torch.cuda.get_device_capability(query.device) >= (8, 0)


def _varlen(
    q: Tensor, k: Tensor, v: Tensor, borders: Tensor, longest: int | None, scale: float, window: int | None
) -> Tensor:
    """One FlashAttention call over all rows (CUDA, fp16 or bf16)."""
    from torch.nn.attention.varlen import varlen_attn

    longest = longest if longest is not None else int(borders.diff().max())
    # A right edge of 0 is causal; the window of transformers counts the token itself, the kernel's does not.
    edges = (-1, 0) if window is None else (window - 1, 0)
    q, k, v = (t[0].transpose(0, 1).contiguous() for t in (q, k, v))
    grouped = q.shape[1] != k.shape[1]
    out = varlen_attn(q, k, v, borders, borders, longest, longest, scale=scale, window_size=edges, enable_gqa=grouped)
    assert isinstance(out, Tensor)
    return out[None]
