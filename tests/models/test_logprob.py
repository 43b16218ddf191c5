"""log p(target) and its gradients against torch's own log_softmax, whatever the chunking."""

from __future__ import annotations

import pytest
import torch

from tunesmith.models.logprob import Shape, target_logprobs

ROWS, WIDTH, VOCABULARY = 13, 24, 1000


def _reference(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, shape: Shape) -> torch.Tensor:
    logits = torch.nn.functional.linear(hidden, weight, bias) * shape.scale
    if shape.softcap is not None:
        logits = torch.tanh(logits / shape.softcap) * shape.softcap
    return logits.log_softmax(dim=-1)


@pytest.mark.parametrize("budget", [1, 4000 * 5, 1 << 30], ids=["row by row", "chunks", "at once"])
@pytest.mark.parametrize("shape", [Shape(), Shape(scale=0.25), Shape(softcap=2.0), Shape(2.0, 3.0)])
@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients_equal_log_softmax(budget: int, shape: Shape, bias: bool) -> None:
    torch.manual_seed(0)
    parameters = [torch.randn(ROWS, WIDTH), torch.randn(VOCABULARY, WIDTH)] + (
        [torch.randn(VOCABULARY)] if bias else []
    )
    targets = torch.randint(0, VOCABULARY, (ROWS,))
    upstream = torch.randn(ROWS)  # any objective: one factor per token

    ours = [p.clone().requires_grad_() for p in parameters]
    logprobs, correct = target_logprobs(ours[0], ours[1], ours[2] if bias else None, targets, shape, budget)
    (logprobs * upstream).sum().backward()

    theirs = [p.clone().requires_grad_() for p in parameters]
    expected = _reference(theirs[0], theirs[1], theirs[2] if bias else None, shape)
    picked = expected.gather(1, targets[:, None])[:, 0]
    (picked * upstream).sum().backward()

    torch.testing.assert_close(logprobs, picked)
    assert torch.equal(correct, expected.argmax(dim=1) == targets)
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, reference.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("budget", [4000 * 5, 1 << 30])
def test_frozen_head_gives_the_same_gradient_as_a_trained_one(budget: int) -> None:
    torch.manual_seed(1)
    hidden, weight = torch.randn(ROWS, WIDTH), torch.randn(VOCABULARY, WIDTH)
    targets, upstream = torch.randint(0, VOCABULARY, (ROWS,)), torch.randn(ROWS)
    gradients = []
    for frozen in (True, False):
        mine = hidden.clone().requires_grad_()
        logprobs, _ = target_logprobs(mine, weight.clone().requires_grad_(not frozen), None, targets, Shape(), budget)
        (logprobs * upstream).sum().backward()
        gradients.append(mine.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)


def test_no_trained_position_costs_nothing_and_keeps_the_graph() -> None:
    hidden = torch.randn(0, WIDTH, requires_grad=True)
    logprobs, correct = target_logprobs(
        hidden, torch.randn(50, WIDTH), None, torch.zeros(0, dtype=torch.long), Shape(), 100
    )
    assert logprobs.shape == correct.shape == (0,)
    logprobs.sum().backward()


def test_a_trained_head_has_a_gradient_where_no_position_is_trained() -> None:
    weight, bias = torch.randn(50, WIDTH, requires_grad=True), torch.randn(50, requires_grad=True)
    nothing = torch.zeros(0, dtype=torch.long)
    logprobs, _ = target_logprobs(torch.randn(0, WIDTH), weight, bias, nothing, Shape(), 100)
    logprobs.sum().backward()
    for each in (weight, bias):  # a rank without them would leave the others waiting
        assert each.grad is not None and each.grad.count_nonzero() == 0


def test_extreme_logits_stay_finite() -> None:
    hidden = torch.full((2, WIDTH), 100.0)
    weight = torch.zeros(VOCABULARY, WIDTH)
    weight[3] = 100.0
    logprobs, correct = target_logprobs(hidden, weight, None, torch.tensor([3, 4]), Shape(), 1 << 20)
    assert logprobs.tolist() == [0.0, -240000.0]
    assert correct.tolist() == [True, False]
