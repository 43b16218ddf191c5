"""K-quants: 256 weights in sub-blocks of 16 or 32, whose scales and minima are themselves whole numbers of few bits.

The scale of a sub-block is searched, as ggml-quants.c does: some twenty scales are tried; with each the weights are
rounded, and the least-squares scale for those whole numbers is a candidate, of which the best stays. Here every
sub-block of a chunk takes the same step at once. The searches see `x` and `w` as [size, m]: one sub-block per column,
so that sums run over the first dimension and whatever is one number per sub-block lies along the last.

Formulas: `make_qkx2_quants` and `make_qkx3_quants` (`fit_affine`), `make_qx_quants` (`fit_symmetric`), `make_q3_quants`
and `make_qp_quants` (`descend`) and the layouts `block_q2_K` … `block_q6_K` of ggml (ggml-quants.c, ggml-common.h).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TINY = 1e-15  # below this all weights of a block count as zero


@dataclass(frozen=True, slots=True)
class Search:
    """Which scales `fit_affine` tries: inverse scales (top + first + i * step) / span for i in 0 … count - 1."""

    first: float
    step: float
    count: int
    absolute: bool = False
    """Take the scale with the smallest sum of |error| and not of its square."""


WEIGHTED = Search(-0.9, 0.05, 37)


def fit_affine(x: Tensor, w: Tensor, top: int, search: Search) -> tuple[Tensor, Tensor]:
    """Scale and minimum (both float32 [m]; minimum <= 0) for x ~ scale * level + minimum, level in 0 … top.

    x, w: float32 [size, m], values and their weights.
    """
    low, high = x.amin(0).clamp_(max=0), x.amax(0)
    flat = high <= low
    high.masked_fill_(flat, 1)  # any number that keeps what follows finite
    wx = w * x
    sum_w, sum_x, sum_xx = w.sum(0), wx.sum(0), (wx * x).sum(0)
    level, work = torch.empty_like(x), torch.empty_like(x)

    def error(scale: Tensor, low: Tensor) -> Tensor:
        gap = torch.mul(level, scale, out=work).add_(low).sub_(x)
        gap = gap.abs_() if search.absolute else gap.square_()
        return gap.mul_(w).sum(0)

    scale = (high - low) / top
    torch.sub(x, low, out=level).mul_(1 / scale).round_().clamp_(0, top)
    best = error(scale, low)
    for i in range(search.count):
        # `low` is the best found so far and not the block's minimum: each improvement moves where later ones look.
        inverse = (top + search.first + i * search.step) / (high - low)
        torch.sub(x, low, out=level).mul_(inverse).round_().clamp_(0, top)
        torch.mul(w, level, out=work)
        sum_l, sum_ll = work.sum(0), work.mul_(level).sum(0)
        sum_lx = torch.mul(wx, level, out=work).sum(0)
        spread = sum_w * sum_ll
        det = torch.addcmul(spread, sum_l, sum_l, value=-1)
        new_low = torch.addcmul(sum_ll * sum_x, sum_l, sum_lx, value=-1).div_(det)
        new_scale = torch.addcmul(sum_w * sum_lx, sum_x, sum_l, value=-1).div_(det)
        new_scale = torch.where(new_low > 0, sum_lx / sum_ll, new_scale)
        new_low.clamp_(max=0)
        if search.absolute:
            found = error(new_scale, new_low)
        else:
            # The squared error of a least-squares solution needs no second pass over the weights.
            found = torch.addcmul(sum_xx, new_scale, sum_lx, value=-1).addcmul_(new_low, sum_x, value=-1)
        # All levels equal: nothing to solve, and what rounding leaves of the determinant is noise.
        better = (found < best).logical_and_(det > spread.mul_(1e-6))
        best = torch.where(better, found, best)
        scale = torch.where(better, new_scale, scale)
        low = torch.where(better, new_low, low)
    return scale.masked_fill_(flat, 0), low


def peak(x: Tensor, dim: int) -> Tensor:
    """The value of largest magnitude along `dim`, with its sign; of two such the first."""
    high, low = x.amax(dim), x.amin(dim)
    found = torch.where(high > -low, high, low)
    tied = (high == -low) & (high > 0)
    if tied.any():  # not rare: weights that come from bf16 have few different values
        columns = x.movedim(dim, -1)[tied]
        found[tied] = columns.gather(-1, columns.abs().argmax(-1, keepdim=True)).squeeze(-1)
    return found


def fit_symmetric(x: Tensor, w: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Scale for x ~ scale * level, level in -top … top - 1, and the inverse scale that gives the levels, float32 [m].

    x, w: float32 [size, m], values and their weights. The scale is negative where the value of largest magnitude is
    positive, since there is one more level below zero than above.
    """
    extreme = peak(x, 0)
    flat = extreme.abs() < TINY
    extreme.masked_fill_(flat, 1)
    wx = w * x
    level, work = torch.empty_like(x), torch.empty_like(x)
    best = scale = inverse = torch.zeros_like(extreme)
    for i in (0, *range(-9, 0), *range(1, 10)):
        tried = -(top + 0.1 * i) / extreme
        torch.mul(x, tried, out=level).round_().clamp_(-top, top - 1)
        sum_lx = torch.mul(wx, level, out=work).sum(0)
        sum_ll = torch.mul(w, level, out=work).mul_(level).sum(0)
        new_scale = sum_lx / sum_ll
        gain = new_scale * sum_lx  # how much the squared error shrinks; not a number where all weights are zero
        better = gain > best
        best = torch.where(better, gain, best)
        scale = torch.where(better, new_scale, scale)
        inverse = torch.where(better, tried, inverse)
    return scale.masked_fill_(flat, 0), inverse.masked_fill_(flat, 0)


def descend(x: Tensor, w: Tensor, level: Tensor, low: int, high: int, *, rounds: int = 5) -> Tensor:
    """Improve levels in place, one row after the other, `rounds` times at most; the least-squares scale, float32 [m].

    x, w, level: float32 [size, m]; level holds whole numbers in low … high.
    """
    before, wx = level.clone(), w * x
    lx, ll = (wx * level).sum(0), (w * level * level).sum(0)
    for one_x, one_w, one_wx, old in zip(x, w, wx, level, strict=True):
        rest_lx = torch.addcmul(lx, one_wx, old, value=-1)
        rest_ll = torch.addcmul(ll, one_w * old, old, value=-1)
        new = (one_x * rest_ll).div_(rest_lx).round_().clamp_(low, high)
        new_lx, new_ll = torch.addcmul(rest_lx, one_wx, new), torch.addcmul(rest_ll, one_w * new, new)
        # Nothing but zeros left gives inf or nan for the new level, which no comparison lets pass.
        better = (new_lx.square().mul_(ll) > lx.square().mul_(new_ll)).logical_and_(rest_lx > 0)
        torch.where(better, new, old, out=old)
        lx, ll = torch.where(better, new_lx, lx), torch.where(better, new_ll, ll)
    scale = torch.where(ll > 0, lx / ll, 0)
    moved = (level != before).any(0)
    if rounds > 1 and moved.any():  # few columns move more than once or twice, and the others are done
        again = level[:, moved]
        scale[moved] = descend(x[:, moved], w[:, moved], again, low, high, rounds=rounds - 1)
        level[:, moved] = again
    return scale


def fit_positive(x: Tensor, w: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Scale, float32 [m], and levels in 0 … top, float32 [size, m], for x ~ scale * level with x >= 0."""
    high = x.amax(0)
    flat = high < TINY
    high.masked_fill_(flat, 1)
    best, inverse = torch.full_like(high, torch.inf), high
    for i in (0, *range(-4, 0), *range(1, 5)):
        tried = (top + 0.1 * i) / high
        level = (x * tried).round_().clamp_(0, top)
        error = (x - level / tried).square_().mul_(w).sum(0)
        better = error < best
        best, inverse = torch.where(better, error, best), torch.where(better, tried, inverse)
    level = (x * inverse).round_().clamp_(0, top)
    scale = descend(x, w, level, 0, top)
    return scale.masked_fill_(flat, 0), level.masked_fill_(flat, 0)


@dataclass(frozen=True, slots=True)
class Affine:
    """A K-quant with a minimum: value = d * scale * level - dmin * minimum.

    size: weights in a sub-block. top: the highest level. steps: the highest scale and minimum. search: without an
    importance matrix. spread: what share of the block's mean square an importance matrix' weights start from.
    """

    size: int
    top: int
    steps: int
    search: Search
    spread: int


@dataclass(frozen=True, slots=True)
class Levels:
    """A chunk of n blocks in whole numbers, nothing packed yet.

    level: int8 [n, 256], from 0 on. scale, minimum: int8 [n, sub-blocks]. d, dmin: float16 [n, 1].
    """

    level: Tensor
    scale: Tensor
    minimum: Tensor
    d: Tensor
    dmin: Tensor


def affine(of: Affine, blocks: Tensor, importance: Tensor | None) -> Levels:
    """Find levels, scales and minima. blocks, importance: float32 [n, 256]."""
    x, n = columns(blocks, of.size), len(blocks)
    if importance is None:
        w = x.abs() if of.search.absolute else x.abs() + x.square().mean(0).sqrt_()
        scales, low = fit_affine(x, w, of.top, of.search)
        d, scale = _in_steps(scales.view(n, -1), of.steps)
        dmin, minimum = _in_steps(-low.view(n, -1), of.steps)
    else:
        w = columns(weighted(blocks, importance, of.spread), of.size)
        scales, low = fit_affine(x, w, of.top, WEIGHTED)
        sums = w.sum(0).view(n, -1).t()
        d, scale = fit_positive(scales.view(n, -1).t(), sums, of.steps)
        dmin, minimum = fit_positive(-low.view(n, -1).t(), sums, of.steps)
        scale, minimum = scale.t(), minimum.t()
    d, dmin = d.half().unsqueeze(1), dmin.half().unsqueeze(1)
    step, offset = d.float() * scale, dmin.float() * minimum
    level = (blocks.view(*step.shape, of.size) + offset.unsqueeze(2)).div_(_divisor(step)).round_().clamp_(0, of.top)
    return Levels(level.to(torch.int8).view_as(blocks), scale.to(torch.int8), minimum.to(torch.int8), d, dmin)


def symmetric(blocks: Tensor, scales: Tensor, d: Tensor, inverse: Tensor, top: int, steps: int) -> Levels:
    """Levels in -top … top - 1, of which `level` holds the sum with top, once the scales are found: value = d * scale *
    level. blocks: float32 [n, 256]. scales: [n, 16]. d, inverse: [n], the unit of scales and what makes levels of them.
    """
    scale = (scales * inverse.unsqueeze(1)).round_().clamp_(-steps, steps - 1)
    d = d.half().unsqueeze(1)
    step = d.float() * scale
    level = (blocks.view(*step.shape, 16) / _divisor(step)).round_().clamp_(-top, top - 1).add_(top)
    nothing = scale.new_empty(0)
    return Levels(level.to(torch.int8).view_as(blocks), scale.to(torch.int8), nothing, d, nothing)


def columns(blocks: Tensor, size: int) -> Tensor:
    """Blocks [n, 256] as [size, m], one sub-block per column."""
    return blocks.view(-1, size).t().contiguous()


def weighted(rows: Tensor, importance: Tensor, factor: float) -> Tensor:
    """Weights of values under an importance matrix, float32 like `rows`: importance * sqrt(factor * mean x² + x²)."""
    squares = rows.square()
    return squares.add_(squares.mean(-1, keepdim=True).mul_(factor)).sqrt_().mul_(importance)


def _in_steps(values: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Unit [n] and levels 0 … steps [n, s] for positive values [n, s], the largest of which is hit exactly."""
    high = values.amax(1)
    inverse = (steps / high).masked_fill_(high <= 0, 0)
    return high.clamp(min=0) / steps, (values * inverse.unsqueeze(1)).round_().clamp_(0, steps)


def _by_extreme(scales: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Unit and inverse unit, both [n], for scales [n, s] of either sign: the largest becomes -steps."""
    extreme = peak(scales, 1)
    return extreme / -steps, -steps / extreme.masked_fill(extreme == 0, torch.inf)


def _descended(x: Tensor, top: int) -> Tensor:
    """Scales as `make_q3_quants` finds them, [m]: levels by the extreme value, then improved one by one."""
    extreme = peak(x, 0)
    flat = extreme.abs() < TINY
    level = (x * (-top / extreme.masked_fill(flat, 1))).round_().clamp_(-top, top - 1)
    return descend(x, x.square(), level, -top, top - 1).masked_fill_(flat, 0)


def _divisor(step: Tensor) -> Tensor:
    """Steps [n, s] to divide by, [n, s, 1]: where the scale is zero every level is zero."""
    return step.masked_fill(step == 0, torch.inf).unsqueeze(2)


# Packing. Bytes are int8 until the end: torch converts float to int8 five times as fast as to uint8.


def interleave(fields: Tensor, bits: int) -> Tensor:
    """Bytes [..., q] that hold `fields` [..., p, q] of `bits` bits each, the first in the lowest."""
    # Eight or four bytes at a time: no field leaves its byte.
    wide = fields.contiguous().view(torch.int64 if fields.shape[-1] % 8 == 0 else torch.int32)
    packed = wide[..., 0, :]
    for i in range(1, fields.shape[-2]):
        packed = packed | wide[..., i, :] << (bits * i)
    return packed.view(torch.int8)


def _in_pairs_of_bits(level: Tensor) -> Tensor:
    """Two bits each, [n, 64]: weights 0, 32, 64 and 96 of either half share a byte."""
    return interleave(level.view(-1, 2, 4, 32), 2).flatten(1)


def _six_bit_pairs(scale: Tensor, minimum: Tensor) -> Tensor:
    """Eight scales and eight minima of six bits in twelve bytes, as `get_scale_min_k4` reads them."""
    first, last = (scale[:, :4], minimum[:, :4]), (scale[:, 4:], minimum[:, 4:])
    high = [one | (other >> 4) << 6 for one, other in zip(first, last, strict=True)]
    return torch.cat([*high, last[0] & 15 | (last[1] & 15) << 4], 1)


Q2_K = Affine(size=16, top=3, steps=15, search=Search(-0.5, 0.1, 16, absolute=True), spread=1)
Q4_K = Affine(size=32, top=15, steps=63, search=Search(-1.0, 0.1, 21), spread=2)
Q5_K = Affine(size=32, top=31, steps=63, search=Search(-0.5, 0.1, 16), spread=2)


def q2_k(blocks: Tensor, importance: Tensor | None) -> Tensor:
    of = affine(Q2_K, blocks, importance)
    return joined(of.scale | of.minimum << 4, _in_pairs_of_bits(of.level), of.d, of.dmin)


def q3_k(blocks: Tensor, importance: Tensor | None) -> Tensor:
    x, n = columns(blocks, 16), len(blocks)
    if importance is None:
        scales = _descended(x, 4).view(n, -1)
        unit = _by_extreme(scales, 32)
    else:
        w = columns(weighted(blocks, importance, 2), 16)
        scales = fit_symmetric(x, w, 4)[0].view(n, -1)
        unit = fit_symmetric(scales.t(), w.sum(0).view(n, -1).t(), 32)
    of = symmetric(blocks, scales, *unit, top=4, steps=32)
    high = interleave((of.level >> 2).view(-1, 8, 32), 1)
    scale = of.scale + 32
    packed = interleave((scale & 15).view(-1, 2, 8), 4), interleave((scale >> 4).view(-1, 4, 4), 2)
    return joined(high, _in_pairs_of_bits(of.level & 3), *packed, of.d)


def q4_k(blocks: Tensor, importance: Tensor | None) -> Tensor:
    of = affine(Q4_K, blocks, importance)
    low = interleave(of.level.view(-1, 4, 2, 32), 4)
    return joined(of.d, of.dmin, _six_bit_pairs(of.scale, of.minimum), low)


def q5_k(blocks: Tensor, importance: Tensor | None) -> Tensor:
    of = affine(Q5_K, blocks, importance)
    high = interleave((of.level >> 4).view(-1, 8, 32), 1)
    low = interleave((of.level & 15).view(-1, 4, 2, 32), 4)
    return joined(of.d, of.dmin, _six_bit_pairs(of.scale, of.minimum), high, low)


def q6_k(blocks: Tensor, importance: Tensor | None) -> Tensor:
    x = columns(blocks, 16)
    w = x.square() if importance is None else columns(importance, 16)  # as it is, unlike in the other types
    scales = fit_symmetric(x, w, 32)[0].view(len(blocks), -1)
    of = symmetric(blocks, scales, *_by_extreme(scales, 128), top=32, steps=128)
    low = interleave((of.level & 15).view(-1, 2, 2, 64), 4)
    high = interleave((of.level >> 4).view(-1, 2, 4, 32), 2)
    return joined(low, high, of.scale, of.d)


def joined(*parts: Tensor) -> Tensor:
    """Bytes [n, …] of parts [n, …] of one or two bytes per number, one part after the other."""
    return torch.cat([part.contiguous().view(torch.uint8).flatten(1) for part in parts], 1)


K_QUANTS: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "Q2_K": q2_k, "Q3_K": q3_k, "Q4_K": q4_k, "Q5_K": q5_k, "Q6_K": q6_k,
}  # fmt: skip
"""From blocks and their importance, float32 [n, 256], to bytes [n, size of a block]."""
