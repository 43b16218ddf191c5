"""Log-probabilities of targets from hidden states, without ever holding [tokens, vocabulary] in fp32.

The gradient of log p(target) with respect to the logits is onehot − p, whatever the objective does with log p
afterwards: a scalar per token multiplies it. So with a frozen head the gradient of the hidden states is finished in the
forward pass, chunk by chunk, and nothing of vocabulary width is kept.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

# fp32 working set of the softmax, small enough to stay in a core's cache (measured best of 1–64 rows at 152k columns).
_CACHE_BYTES = 3 << 20


class Shape(NamedTuple):
    """How an architecture turns head outputs into logits: scale first, then cap·tanh(x / cap)."""

    scale: float = 1.0
    softcap: float | None = None


def target_logprobs(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, shape: Shape, budget: int
) -> tuple[Tensor, Tensor]:
    """log p(target) and whether it was the most likely token.

    hidden: [M, D]. weight: [V, D]. bias: [V] or None. targets: int64 [M]. budget: bytes the logits of one chunk may
    take. Returns float32 [M] and bool [M].
    """
    if not len(targets):
        return hidden.sum(dim=-1).float(), torch.zeros(0, dtype=torch.bool, device=hidden.device)
    return _TargetLogprobs.apply(hidden, weight, bias, targets, shape, budget)


class _TargetLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, shape: Shape, budget: int
    ) -> tuple[Tensor, Tensor]:
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        head_trains = wants_weight or wants_bias
        chunks = _chunks(len(targets), weight, budget)
        logprobs = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        correct = torch.empty(len(targets), dtype=torch.bool, device=hidden.device)
        gradient = torch.empty_like(hidden) if wants_hidden and not head_trains else None
        for rows in chunks:
            logits = _logits(hidden[rows], weight, bias, shape)
            _score(logits, targets[rows], shape, logprobs[rows], correct[rows], keep=gradient is not None)
            if gradient is not None:
                gradient[rows] = _hidden_gradient(logits, weight, shape)
            del logits  # before the next chunk is made, so that one is alive at a time
        ctx.shape, ctx.chunks, ctx.head_trains = shape, chunks, head_trains
        ctx.save_for_backward(*((hidden, weight, bias, targets) if head_trains else (gradient,)))
        ctx.mark_non_differentiable(correct)
        return logprobs, correct

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        if not ctx.head_trains:
            (gradient,) = ctx.saved_tensors
            hidden_grad = None if gradient is None else gradient * grad[:, None].to(gradient.dtype)
            return hidden_grad, None, None, None, None, None
        hidden, weight, bias, targets = ctx.saved_tensors
        hidden_grad = torch.empty_like(hidden)
        weight_grad = torch.zeros_like(weight)
        bias_grad = None if bias is None else torch.zeros_like(bias)
        for rows in ctx.chunks:
            logits = _logits(hidden[rows], weight, bias, ctx.shape)
            _score(logits, targets[rows], ctx.shape, None, None, keep=True)
            logits *= grad[rows, None].to(logits.dtype)
            hidden_grad[rows] = _hidden_gradient(logits, weight, ctx.shape)
            weight_grad.addmm_(logits.t(), hidden[rows], alpha=ctx.shape.scale)
            if bias_grad is not None:
                bias_grad += logits.sum(dim=0) * ctx.shape.scale
            del logits
        return hidden_grad, weight_grad, bias_grad, None, None, None


def _chunks(rows: int, weight: Tensor, budget: int) -> list[slice]:
    """Equal chunks within the budget: on a CPU one large chunk is fastest, so memory alone decides."""
    widest = max(1, budget // (weight.shape[0] * weight.element_size()))
    count = -(-rows // widest)
    size = -(-rows // count)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, shape: Shape) -> Tensor:
    logits = hidden @ weight.t() if bias is None else torch.addmm(bias, hidden, weight.t())
    return logits if shape.scale == 1.0 else logits.mul_(shape.scale)


def _hidden_gradient(logit_gradient: Tensor, weight: Tensor, shape: Shape) -> Tensor:
    gradient = logit_gradient @ weight
    return gradient if shape.scale == 1.0 else gradient.mul_(shape.scale)


def _score(
    logits: Tensor, targets: Tensor, shape: Shape, logprobs: Tensor | None, correct: Tensor | None, *, keep: bool
) -> None:
    """Fill logprobs and correct; with keep, overwrite logits by the gradient of logprobs with respect to them."""
    rows = len(targets) if logits.is_cuda else max(1, _CACHE_BYTES // (logits.shape[1] * 4))
    for start in range(0, len(targets), rows):
        part = slice(start, start + rows)
        column = targets[part, None]
        x = logits[part].float()
        if shape.softcap is not None:
            x = torch.tanh(x.div_(shape.softcap)).mul_(shape.softcap)
        slope = None if shape.softcap is None or not keep else 1 - (x / shape.softcap).square_()
        target = x.gather(1, column)
        top = x.amax(dim=1, keepdim=True)
        x = x.sub_(top).exp_()
        total = x.sum(dim=1, keepdim=True)
        if logprobs is not None and correct is not None:
            logprobs[part] = (target - top - total.log())[:, 0]
            correct[part] = (target >= top)[:, 0]
        if keep:
            x.div_(total).neg_().scatter_add_(1, column, torch.ones_like(target))
            logits[part] = x if slope is None else x.mul_(slope)
