"""Rows of weights to the bytes of a GGUF tensor, on the CPU or a GPU, in plain torch.

`quantize` knows every type that a mix of `mixes.py` uses. The types of 32 weights per block stand here, the K-quants in
`kquants.py`. Without an importance matrix the former give the same bytes as llama.cpp; all others the same error.

Formulas: `quantize_row_q*_ref` and `quantize_row_q*_impl` of ggml-quants.c; layouts `block_q*` of ggml-common.h.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as Kind
from torch import Tensor

from tunesmith.export.gguf.kquants import (
    K_QUANTS,
    WEIGHTED,
    fit_affine,
    fit_symmetric,
    interleave,
    joined,
    peak,
    weighted,
)

SIZE = 32  # weights in a block of the types below
# The largest float32 below a half. Added to a number and cut off, it rounds halves away from zero, as C's roundf does,
# and doesn't lift a number just below a half to the next one, as adding a half would.
ALMOST_HALF = 0.5 - 2**-25
# Weights in hand at once. On one thread what the cache holds next to a few copies; on several twice that, since threads
# wait for Python's lock between operations, which then are fewer and longer; on a GPU what keeps it busy.
ALONE, TOGETHER, ON_GPU = 2**18, 2**19, 2**24
# A thread holds Python's lock for about a twelfth of its time (some 40 of 500 µs per step of Q4_K), so more than these
# would mostly wait. An estimate: two threads are the most that was measured.
MOST_THREADS = 8
# Rows in a chunk come in eights: then torch adds all columns in the same order, wherever a chunk ends.
EIGHT = 8


def quantize(rows: Tensor, kind: Kind, importance: Tensor | None = None) -> Tensor:
    """The bytes of `rows` in the type `kind`, uint8 [n, row_bytes], where `rows` lies.

    rows: floating point [n, k], k a multiple of the type's block (32 or 256). importance: how much each column matters,
    positive [k], from an importance matrix; None weighs all alike. Values must be finite.
    Raises ValueError for a type that isn't written here or rows that don't fit into whole blocks.
    """
    encode = ENCODERS.get(kind)
    if encode is None:
        raise ValueError(f"{Kind(kind).name} can't be written; known are {', '.join(one.name for one in ENCODERS)}")
    rows = rows.detach()
    n, k = rows.shape
    block, size = GGML_QUANT_SIZES[kind]
    if k % block:
        raise ValueError(f"{kind.name} takes rows of whole blocks of {block} weights, not {k}")
    if importance is not None:
        importance = importance.to(rows.device, torch.float32)
    out = rows.new_empty((n, k // block * size), dtype=torch.uint8)
    threads = min(torch.get_num_threads(), MOST_THREADS) if rows.device.type == "cpu" else 1
    chunk = ON_GPU if rows.device.type != "cpu" else TOGETHER if threads > 1 else ALONE
    step = max(chunk // max(k, 1) // EIGHT, 1) * EIGHT

    def fill(start: int) -> None:
        part = rows[start : start + step].float().contiguous()
        out[start : start + step] = encode(part, importance).view(len(part), -1)

    _each(fill, range(0, n, step), threads)
    return out


def _each(work: Callable[[int], None], starts: range, threads: int) -> None:
    """Call `work` for all of `starts`, on threads that each take one chunk at a time.

    Python's threads and not those of torch's operations: these wait for one another after every operation, which costs
    more than the work where the cores are not idle. Q4_K on two cores, in MB/s: 212 against 129 on one thread and idle
    cores, 84 to 97 on busy ones; torch's own threads 7 to 38 there.
    """
    if min(threads, len(starts)) < 2:
        for start in starts:
            work(start)
        return
    own = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
            for _ in pool.map(work, starts):
                pass
    finally:
        torch.set_num_threads(own)  # the threads' own setting became the default of threads to come


# Each encoder takes rows, float32 [r, k], and an importance, float32 [k] or None, and gives the bytes in order.


def _cast(dtype: torch.dtype, rows: Tensor, importance: Tensor | None) -> Tensor:
    return rows.to(dtype).view(torch.uint8)


def _q8_0(rows: Tensor, importance: Tensor | None) -> Tensor:
    blocks = rows.view(-1, SIZE)
    d = torch.maximum(blocks.amax(1), blocks.amin(1).abs_()).div_(127)
    scaled = blocks * _inverse(d).unsqueeze(1)
    return joined(_half(d), (scaled + scaled.sign().mul_(ALMOST_HALF)).to(torch.int8))


def _symmetric(top: int, rows: Tensor, importance: Tensor | None) -> Tensor:
    """Q4_0 and Q5_0: levels -top … top - 1, stored from 0 on."""
    blocks = rows.view(-1, SIZE)
    if importance is None:
        d = peak(blocks, 1).div_(-top)
        level = (blocks * _inverse(d).unsqueeze(1)).add_(top + 0.5).clamp_(max=2 * top - 1)
    else:
        d, inverse = fit_symmetric(blocks.t().contiguous(), _columns(weighted(rows, importance, 1)), top)
        level = (blocks * inverse.unsqueeze(1)).round_().clamp_(-top, top - 1).add_(top)
    return joined(_half(d), *_nibbles(level.to(torch.int8), top))


def _affine(top: int, rows: Tensor, importance: Tensor | None) -> Tensor:
    """Q4_1 and Q5_1: levels 0 … top above a minimum."""
    blocks = rows.view(-1, SIZE)
    if importance is None:
        low = blocks.amin(1)
        d = (blocks.amax(1) - low).div_(top)
        level = (blocks - low.unsqueeze(1)).mul_(_inverse(d).unsqueeze(1)).add_(0.5).clamp_(max=top)
    else:
        d, low = fit_affine(blocks.t().contiguous(), _columns(weighted(rows, importance, 1)), top, WEIGHTED)
        level = (blocks - low.unsqueeze(1)).mul_(_inverse(d).unsqueeze(1)).round_().clamp_(0, top)
    return joined(_half(d), _half(low), *_nibbles(level.to(torch.int8), top // 2 + 1))


def _k_quant(encode: Callable[[Tensor, Tensor | None], Tensor], rows: Tensor, importance: Tensor | None) -> Tensor:
    blocks = rows.view(-1, 256)
    return encode(blocks, None if importance is None else importance.expand_as(rows).reshape_as(blocks))


def _inverse(d: Tensor) -> Tensor:
    return d.reciprocal().masked_fill_(d == 0, 0)


def _half(d: Tensor) -> Tensor:
    return d.half().unsqueeze(1)


def _columns(rows: Tensor) -> Tensor:
    return rows.view(-1, SIZE).t().contiguous()


def _nibbles(level: Tensor, top: int) -> list[Tensor]:
    """Levels [n, 32] as stored: with a fifth bit, the 32 fifth bits first; then weights i and i + 16 in one byte."""
    if top == 8:
        return [interleave(level.view(-1, 2, 16), 4)]
    return [_bits(level >> 4), interleave((level & 15).view(-1, 2, 16), 4)]


def _bits(flags: Tensor) -> Tensor:
    """int8 [n, 32] of zeros and ones as four bytes, the first flag in the lowest bit: the product moves the lowest bit
    of byte i, bit 8i of eight bytes, to bit 56 + i."""
    return ((flags.view(torch.int64) * 0x0102040810204080) >> 56).to(torch.int8)


ENCODERS: dict[Kind, Callable[[Tensor, Tensor | None], Tensor]] = {
    Kind.F32: partial(_cast, torch.float32),
    Kind.F16: partial(_cast, torch.float16),
    Kind.BF16: partial(_cast, torch.bfloat16),
    Kind.Q8_0: _q8_0,
    Kind.Q4_0: partial(_symmetric, 8),
    Kind.Q4_1: partial(_affine, 15),
    Kind.Q5_0: partial(_symmetric, 16),
    Kind.Q5_1: partial(_affine, 31),
    **{Kind[name]: partial(_k_quant, encode) for name, encode in K_QUANTS.items()},
}
