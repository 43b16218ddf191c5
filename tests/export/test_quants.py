"""Quantizers beside llama.cpp's own: equal bytes where numbers are rounded, equal error where scales are sought."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch
from gguf.quants import dequantize
from tests.export import llama_cpp
from torch import Tensor

from tunesmith.export.gguf import quants
from tunesmith.export.gguf.quants import ENCODERS, quantize

Kind = gguf.GGMLQuantizationType
ROUNDED = [Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1]
SEARCHED = [Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K]
# Root mean square error of normal weights in units of their deviation; about what each type's bits allow.
ERRORS = {
    Kind.F32: 0, Kind.F16: 4e-4, Kind.BF16: 3e-3, Kind.Q8_0: 0.008, Kind.Q4_0: 0.11, Kind.Q4_1: 0.09, Kind.Q5_0: 0.05,
    Kind.Q5_1: 0.05, Kind.Q2_K: 0.35, Kind.Q3_K: 0.18, Kind.Q4_K: 0.08, Kind.Q5_K: 0.04, Kind.Q6_K: 0.02,
}  # fmt: skip
with_llama_cpp = pytest.mark.skipif(not llama_cpp.AVAILABLE, reason="llama.cpp is fetched for Linux on x86-64")


def weights(n: int, k: int, *, deviation: float = 0.02, seed: int = 0) -> Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed)) * deviation


def importance_of(k: int) -> Tensor:
    """Columns that matter very differently, as real activations make them."""
    return torch.randn(k, generator=torch.Generator().manual_seed(1)).square() * 3 + 0.01


def odd_rows(k: int) -> Tensor:
    """Rows that rounding stumbles over: equal extremes, halves, zeros, constants, outliers, both signs alone."""
    plain = weights(16, k)
    halves = torch.arange(k).remainder(255).sub(127).div(2)
    halves[::32] = 127  # so that the scale of Q8_0 is one
    outlier = plain[3].clone()
    outlier[5] = 40.0
    steps = plain[6].mul(200).round().div(200)  # few values, so the largest of both signs often tie
    sparse = torch.where(plain[10] > 0.02, plain[10], 0)
    same = [torch.zeros(k), torch.full((k,), 0.3), torch.full((k,), -0.3)]
    scaled = [plain[7].bfloat16().float(), plain[8] * 1e-6, plain[9] * 1e4]
    return torch.stack([*same, halves, outlier, plain[4].abs(), -plain[5].abs(), steps, *scaled, sparse])


def error(stored: np.ndarray, kind: Kind, rows: Tensor, importance: Tensor | None = None) -> float:
    """Root mean square error, weighted by the importance."""
    gap = np.square(dequantize(stored, kind).astype(np.float64) - rows.numpy())
    return float(np.sqrt(np.average(gap.mean(0), weights=None if importance is None else importance.numpy())))


@pytest.mark.parametrize("kind", list(ENCODERS), ids=lambda kind: kind.name)
def test_what_is_written_reads_back_close_to_the_weights(kind: Kind) -> None:
    rows = weights(24, 768, deviation=0.5)
    stored = quantize(rows, kind)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    assert stored.dtype == torch.uint8 and stored.shape == (24, 768 // block * size)
    assert error(stored.numpy(), kind, rows) <= 0.5 * ERRORS[kind]


@with_llama_cpp
@pytest.mark.parametrize("kind", ROUNDED, ids=lambda kind: kind.name)
def test_rounded_types_have_the_bytes_of_llama_cpp(kind: Kind) -> None:
    for rows in (weights(200, 320), weights(64, 2048, seed=2).bfloat16().float(), odd_rows(1024)):
        assert np.array_equal(quantize(rows, kind).numpy(), llama_cpp.quantize_rows(rows.numpy(), kind))


@with_llama_cpp
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "importance"])
@pytest.mark.parametrize("kind", SEARCHED, ids=lambda kind: kind.name)
def test_k_quants_have_the_error_of_llama_cpp(kind: Kind, weighted: bool) -> None:
    importance = importance_of(1024) if weighted else None
    rows = weights(300, 1024)
    ours = quantize(rows, kind, importance).numpy()
    theirs = llama_cpp.quantize_rows(rows.numpy(), kind, None if importance is None else importance.numpy())
    assert error(ours, kind, rows, importance) == pytest.approx(error(theirs, kind, rows, importance), rel=1e-3)
    # Not only as good but the same search: a sum in another order moves a scale here and there.
    assert (ours == theirs).mean() > 0.97


@with_llama_cpp
@pytest.mark.parametrize("kind", [Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0], ids=lambda kind: kind.name)
def test_other_types_under_an_importance_have_no_larger_error(kind: Kind) -> None:
    rows, importance = weights(200, 1024), importance_of(1024)
    ours = quantize(rows, kind, importance).numpy()
    theirs = llama_cpp.quantize_rows(rows.numpy(), kind, importance.numpy())
    assert error(ours, kind, rows, importance) <= error(theirs, kind, rows, importance) * 1.001
    assert (ours == theirs).mean() > 0.97


@with_llama_cpp
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "importance"])
@pytest.mark.parametrize("kind", SEARCHED, ids=lambda kind: kind.name)
def test_odd_rows_are_no_worse_in_k_quants(kind: Kind, weighted: bool) -> None:
    rows = odd_rows(1024)
    importance = importance_of(1024) if weighted else None
    given = None if importance is None else importance.numpy()
    # Few blocks with many exact ties, which rounding decides: single rows fall to either side.
    for row in rows.split(1):
        ours, theirs = quantize(row, kind, importance).numpy(), llama_cpp.quantize_rows(row.numpy(), kind, given)
        allowed = error(theirs, kind, row, importance) * 1.1 + float(row.abs().max()) * 1e-6
        assert error(ours, kind, row, importance) <= allowed


def test_columns_that_matter_are_kept_better() -> None:
    rows, importance = weights(64, 512), torch.ones(512)
    importance[:128] = 100
    for kind in (Kind.Q4_K, Kind.Q3_K, Kind.Q4_0, Kind.Q5_1):
        plain, weighted = (quantize(rows, kind, given).numpy() for given in (None, importance))
        assert error(weighted, kind, rows, importance) < error(plain, kind, rows, importance)


def test_columns_without_any_importance_are_harmless() -> None:
    rows, importance = weights(8, 512), torch.zeros(512)
    for kind in ENCODERS:
        assert np.isfinite(dequantize(quantize(rows, kind, importance).numpy(), kind)).all()


@pytest.mark.parametrize("kind", [Kind.Q4_0, Kind.Q4_K, Kind.Q3_K, Kind.Q6_K], ids=lambda kind: kind.name)
def test_chunks_and_threads_change_nothing(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, importance = weights(70, 768), importance_of(768)
    whole = quantize(rows, kind, importance)
    monkeypatch.setattr(quants, "ALONE", 8 * 768)
    monkeypatch.setattr(quants, "TOGETHER", 17 * 768)
    assert torch.equal(quantize(rows, kind, importance), whole)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(quantize(rows, kind, importance), whole)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_any_floating_dtype_and_any_strides_are_taken() -> None:
    rows = weights(512, 8).bfloat16()
    assert torch.equal(quantize(rows.t(), Kind.Q4_K), quantize(rows.float().t().contiguous(), Kind.Q4_K))
    assert quantize(weights(0, 256), Kind.Q6_K).shape == (0, 210)


def test_what_cannot_be_written_is_said() -> None:
    with pytest.raises(ValueError, match=r"Q4_K takes rows of whole blocks of 256 weights, not 320"):
        quantize(weights(1, 320), Kind.Q4_K)
    with pytest.raises(ValueError, match=r"IQ4_NL can't be written; known are F32, F16"):
        quantize(weights(1, 320), Kind.IQ4_NL)
