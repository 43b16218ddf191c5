"""Log-probabilities of targets from hidden states, block by block of the vocabulary: [tokens, vocabulary] never exists.

The gradient of log p(target) with respect to the logits is onehot − p, whatever the objective does with log p
afterwards: a scalar per token multiplies it. So with a frozen head the gradient of the hidden states is finished in the
forward pass, while each block of logits is still in the cache: Σ p·W is accumulated under the running maximum and
rescaled when that grows, as in online softmax (Milakov & Gimelshein, 2018).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Shape(NamedTuple):
    """How an architecture turns head outputs into logits: scale first, then cap·tanh(x / cap)."""

    scale: float = 1.0
    softcap: float | None = None


def target_logprobs(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, shape: Shape, budget: int
) -> tuple[Tensor, Tensor]:
    """log p(target) and whether it was the most likely token.

    hidden: [M, D]. weight: [V, D]. bias: [V] or None. targets: int64 [M]. budget: bytes of a block of logits in fp32;
    what fits a cache is fastest on a CPU. Returns float32 [M] and bool [M].
    """
    if not len(targets):
        # Trained or not, the head belongs to the graph: data parallelism waits for its gradient on every rank.
        head = weight[0, 0] if bias is None else weight[0, 0] + bias[0]
        return hidden.sum(dim=-1).float() + 0 * head, torch.zeros(0, dtype=torch.bool, device=hidden.device)
    return _TargetLogprobs.apply(hidden, weight, bias, targets, shape, budget)


class _TargetLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, shape: Shape, budget: int
    ) -> tuple[Tensor, Tensor]:
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        head_trains = wants_weight or wants_bias
        finish = wants_hidden and not head_trains
        rows_of = _row_chunks(len(targets), hidden.is_cuda)
        parts = [_score_rows(hidden[r], weight, bias, targets[r], shape, budget, finish=finish) for r in rows_of]
        logprobs, normalizer, correct = (torch.cat(each) for each in zip(*(part[:3] for part in parts), strict=True))
        ctx.shape, ctx.budget, ctx.head_trains = shape, budget, head_trains
        if head_trains:
            ctx.save_for_backward(hidden, weight, bias, targets, normalizer)
        else:
            ctx.save_for_backward(torch.cat([part[3] for part in parts if part[3] is not None]) if finish else None)
        ctx.mark_non_differentiable(correct)
        return logprobs, correct

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        if not ctx.head_trains:
            (gradient,) = ctx.saved_tensors
            hidden_grad = None if gradient is None else gradient * grad[:, None].to(gradient.dtype)
            return hidden_grad, None, None, None, None, None
        hidden, weight, bias, targets, normalizer = ctx.saved_tensors
        given = (hidden, weight, bias, targets, normalizer, grad, ctx.shape, ctx.budget)
        return *_backward_through_head(*given), None, None, None


def _row_chunks(rows: int, cuda: bool) -> list[slice]:
    """Few enough rows that a block within the budget is still wide."""
    most = 8192 if cuda else 1024
    count = -(-rows // most)
    size = -(-rows // count)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _columns(rows: int, vocabulary: int, budget: int) -> Iterator[slice]:
    width = min(vocabulary, max(64, budget // (4 * rows) // 64 * 64))
    for start in range(0, vocabulary, width):
        yield slice(start, min(start + width, vocabulary))


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, shape: Shape) -> tuple[Tensor, Tensor | None]:
    """A block of logits, fp32, and the slope of the soft cap there."""
    x = (hidden @ weight.t() if bias is None else torch.addmm(bias, hidden, weight.t())).float()
    if shape.scale != 1.0:
        x.mul_(shape.scale)
    if shape.softcap is None:
        return x, None
    x = torch.tanh(x.div_(shape.softcap))
    return x * shape.softcap, 1 - x.square_()


def _score_rows(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, shape: Shape, budget: int, *, finish: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """log p, log Σ exp, correct, and with finish the gradient of log p with respect to hidden."""
    rows = len(targets)
    top = hidden.new_full((rows,), -torch.inf, dtype=torch.float32)
    total, chosen = torch.zeros_like(top), torch.empty_like(top)
    pulled = hidden.new_zeros(hidden.shape, dtype=torch.float32) if finish else None
    for columns in _columns(rows, len(weight), budget):
        block = weight[columns]
        x, slope = _logits(hidden, block, None if bias is None else bias[columns], shape)
        here = ((targets >= columns.start) & (targets < columns.stop)).nonzero()[:, 0]
        chosen[here] = x[here, targets[here] - columns.start]
        higher = torch.maximum(top, x.amax(dim=1))
        shrink = (top - higher).exp_()
        x.sub_(higher[:, None]).exp_()
        total.mul_(shrink).add_(x.sum(dim=1))
        if pulled is not None:
            x = x if slope is None else x.mul_(slope)
            pulled.mul_(shrink[:, None]).add_(x.to(block.dtype) @ block)
        top = higher
    normalizer = top + total.log()
    if pulled is None:
        return chosen - normalizer, normalizer, chosen >= top, None
    own = weight[targets].float()
    if shape.softcap is not None:
        own.mul_((1 - (chosen / shape.softcap).square_())[:, None])
    gradient = own.sub_(pulled.div_(total[:, None])).mul_(shape.scale)
    return chosen - normalizer, normalizer, chosen >= top, gradient.to(hidden.dtype)


def _backward_through_head(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, normalizer: Tensor, grad: Tensor,
    shape: Shape, budget: int,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    """Gradients of Σ grad · log p; blocks of logits are made a second time instead of being kept."""
    hidden_grad = torch.zeros_like(hidden, dtype=torch.float32)
    weight_grad = torch.zeros_like(weight)
    bias_grad = None if bias is None else torch.zeros_like(bias)
    for rows in _row_chunks(len(targets), hidden.is_cuda):
        for columns in _columns(rows.stop - rows.start, len(weight), budget):
            part, block = hidden[rows], weight[columns]
            x, slope = _logits(part, block, None if bias is None else bias[columns], shape)
            x.sub_(normalizer[rows, None]).exp_().neg_()
            inside = targets[rows] - columns.start
            here = ((inside >= 0) & (inside < x.shape[1])).nonzero()[:, 0]
            x[here, inside[here]] += 1
            x.mul_(grad[rows, None] * shape.scale)
            pull = (x if slope is None else x.mul_(slope)).to(block.dtype)
            hidden_grad[rows] += pull @ block
            weight_grad[columns].addmm_(pull.t(), part)
            if bias_grad is not None:
                bias_grad[columns] += pull.sum(dim=0)
    return hidden_grad.to(hidden.dtype), weight_grad, bias_grad
