"""Attention over rows laid end to end: what it keeps, and where it leaves the rows to FlashAttention."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from tunesmith.models import attention
from tunesmith.models.attention import segment_attention


def expected(q: Tensor, k: Tensor, v: Tensor, window: int | None, softcap: float | None) -> Tensor:
    """[1, L, H, D], written out."""
    k, v = (each.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for each in (k, v))
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    at = torch.arange(q.shape[2])
    distance = at[:, None] - at
    scores = scores.masked_fill((distance < 0) | (distance >= (window or len(at))), -torch.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2)


@pytest.mark.parametrize("kept", [0, 4 << 20])
@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("window", [None, 7])
def test_kept_and_new_masks_hide_the_same(
    monkeypatch: pytest.MonkeyPatch, kept: int, softcap: float | None, window: int | None
) -> None:
    monkeypatch.setattr(attention, "_KEPT_BYTES", kept)
    torch.manual_seed(0)
    q, k, v = torch.randn(1, 4, 20, 8), torch.randn(1, 2, 20, 8), torch.randn(1, 2, 20, 8)
    found, _ = segment_attention(torch.nn.Identity(), q, k, v, None, sliding_window=window, softcap=softcap)
    torch.testing.assert_close(found, expected(q, k, v, window, softcap))


def test_large_masks_are_not_kept() -> None:
    attention._kept_bias.cache_clear()
    long = torch.randn(1, 2, 1100, 4)  # 1100² masks of float32 are 4.8 MB
    for settings in ({"softcap": 5.0}, {"sliding_window": 50}):
        segment_attention(torch.nn.Identity(), long, long, long, None, **settings)
    assert attention._kept_bias.cache_info().currsize == 0
    segment_attention(torch.nn.Identity(), long[:, :, :9], long[:, :, :9], long[:, :, :9], None)
    assert attention._kept_bias.cache_info().currsize == 1


@pytest.mark.parametrize(
    ("dtype", "capability", "taken"),
    [
        (torch.bfloat16, (8, 0), True),
        (torch.float16, (9, 0), True),
        (torch.float32, (9, 0), False),
        (torch.float16, (7, 5), False),
    ],
)
def test_flash_attention_is_asked_only_for_what_it_can(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, capability: tuple[int, int], taken: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    query = SimpleNamespace(is_cuda=True, dtype=dtype, device=torch.device("cuda"))
    assert attention._has_varlen(query) is taken
