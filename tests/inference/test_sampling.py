"""The next token is the one that the settings ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from tunesmith.config import GenerationConfig
from tunesmith.errors import UserError
from tunesmith.inference.sampling import next_token

SETTINGS = GenerationConfig()


def drawn(scores: torch.Tensor, settings: GenerationConfig, seen: list[int], count: int = 400) -> list[int]:
    generator = torch.Generator().manual_seed(7)
    return [next_token(scores, seen, settings, generator) for _ in range(count)]


@pytest.mark.parametrize(
    "settings",
    [
        replace(SETTINGS, temperature=0.7, top_p=0.8, top_k=20),
        replace(SETTINGS, temperature=1.5, top_p=1.0, top_k=5),
        replace(SETTINGS, temperature=1.0, top_p=0.5, top_k=0, repetition_penalty=1.7),
    ],
)
def test_tokens_are_drawn_from_the_same_distribution_as_transformers(settings: GenerationConfig) -> None:
    scores = torch.randn(60, generator=torch.Generator().manual_seed(1)) * 3
    seen = [3, 5, 5, 8]
    steps = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(settings.repetition_penalty)])
    steps.append(TemperatureLogitsWarper(settings.temperature))
    if settings.top_k:
        steps.append(TopKLogitsWarper(settings.top_k))
    steps.append(TopPLogitsWarper(settings.top_p))
    expected = steps(torch.tensor([seen]), scores[None].clone())[0].softmax(0)
    found = torch.bincount(torch.tensor(drawn(scores, settings, seen, 4000)), minlength=60) / 4000
    assert set(found.nonzero().flatten().tolist()) <= set(expected.nonzero().flatten().tolist())
    assert (found - expected).abs().max() < 0.03


@pytest.mark.parametrize("settings", [replace(SETTINGS, do_sample=False), replace(SETTINGS, temperature=0)])
def test_without_sampling_the_likeliest_is_taken(settings: GenerationConfig) -> None:
    assert set(drawn(torch.tensor([0.1, 2.0, 1.9]), settings, [], 20)) == {1}


def test_the_smallest_temperature_and_share_still_give_the_likeliest() -> None:
    assert set(drawn(torch.tensor([0.1, 2.0, 1.9]), replace(SETTINGS, temperature=1e-30), [])) == {1}
    assert set(drawn(torch.tensor([0.1, 2.0, 1.9]), replace(SETTINGS, top_p=0.0), [])) == {1}


def test_one_seed_gives_the_same_draws() -> None:
    scores = torch.randn(50, generator=torch.Generator().manual_seed(2))
    first = drawn(scores, SETTINGS, [])
    assert first == drawn(scores, SETTINGS, []) and len(set(first)) > 1


def test_scores_that_are_no_numbers_are_told() -> None:
    with pytest.raises(UserError, match="no numbers"):
        drawn(torch.tensor([0.1, float("nan")]), replace(SETTINGS, do_sample=False), [], 1)
