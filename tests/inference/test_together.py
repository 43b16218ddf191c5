"""Answers to several questions at once are those that each gets alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.config import GenerationConfig, Job
from tunesmith.config.load import load_job
from tunesmith.inference.engine import ChatEngine
from tunesmith.inference.load import load_engine
from tunesmith.inference.together import Asked, answer_together, can_answer_together
from tunesmith.text.conversation import Conversation, Message

QUESTIONS = ("Hi", "What is the capital of France? Please, please answer at some length.", "你好", "Who made you?")
GREEDY = GenerationConfig(do_sample=False, max_new_tokens=24)


@pytest.fixture
def engine(tiny_model_dir: Callable[..., Path]) -> Callable[..., ChatEngine]:
    def load(architecture: str, **config: Any) -> ChatEngine:
        return load_engine(_job(tiny_model_dir(architecture, **config)), note=lambda sentence: None)

    return load


def _job(model: Path, **keys: Any) -> Job:
    given = {"model_name_or_path": str(model), "infer_dtype": "float32", "use_cpu": True, **keys}
    return load_job([], given, verb="chat").job


def asked(engine: ChatEngine, settings: GenerationConfig) -> list[Asked]:
    conversations = [Conversation((Message("user", text),)) for text in QUESTIONS]
    return [Asked(each, engine.prompted(each, settings), seed) for seed, each in enumerate(conversations)]


@pytest.mark.parametrize(
    ("architecture", "window"), [("llama", {}), ("qwen3", {}), ("mistral", {"sliding_window": 16})]
)
def test_greedy_answers_are_those_alone(
    architecture: str, window: dict[str, int], engine: Callable[..., ChatEngine]
) -> None:
    model = engine(architecture, **window)
    assert can_answer_together(model)
    found = answer_together(model, asked(model, GREEDY), GREEDY, stopping=lambda: False)
    alone = [model.chat(Conversation((Message("user", text),)), GREEDY) for text in QUESTIONS]
    assert [answer.text for answer in found] == alone and len(set(alone)) > 1
    assert all(answer.finish in ("stop", "length") and answer.tokens <= 24 for answer in found)


def test_each_draws_by_its_own_seed_whoever_is_asked_beside_it(engine: Callable[..., ChatEngine]) -> None:
    model, drawn = engine("llama"), replace(GREEDY, do_sample=True, temperature=2.0, top_p=1.0)
    all_four = answer_together(model, asked(model, drawn), drawn, stopping=lambda: False)
    two = answer_together(model, asked(model, drawn)[2:], drawn, stopping=lambda: False)
    assert [answer.text for answer in two] == [answer.text for answer in all_four[2:]]


def test_a_stop_word_of_several_tokens_ends_one_and_the_others_go_on(engine: Callable[..., ChatEngine]) -> None:
    model = engine("llama")
    whole = [answer.text for answer in answer_together(model, asked(model, GREEDY), GREEDY, stopping=lambda: False)]
    stop = whole[1][4:7]
    ended = replace(model, template=_StopsAt(model.template, stop))
    found = [answer.text for answer in answer_together(ended, asked(ended, GREEDY), GREEDY, stopping=lambda: False)]
    assert found == [text.partition(stop)[0] for text in whole]


def test_a_row_at_its_end_takes_no_position_beyond_the_models(
    tiny_model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_model_dir("llama"))
    shape = {"n_positions": 96, "n_embd": 32, "n_layer": 1, "n_head": 2, "eos_token_id": tokenizer.eos_token_id}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **shape)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = load_engine(_job(tmp_path, template="chatml"), note=lambda sentence: None)
    long = replace(GREEDY, max_new_tokens=90)
    found = answer_together(model, asked(model, long), long, stopping=lambda: False)
    assert [answer.text for answer in found] == [model.chat(each.conversation, long) for each in asked(model, long)]
    assert answer_together(model, [], long, stopping=lambda: False) == [], "every question may be too long"


class _StopsAt:
    """The template with one more stop word."""

    def __init__(self, template: Any, word: str) -> None:
        self._template, self.stop_words = template, (*template.stop_words, word)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._template, name)


def test_a_model_that_does_not_honour_the_mask_is_found_out(
    engine: Callable[..., ChatEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = engine("llama")
    forward = type(model.model).forward

    def without_mask(self: Any, input_ids: Any = None, attention_mask: Any = None, **rest: Any) -> Any:
        return forward(self, input_ids=input_ids, attention_mask=torch.ones_like(attention_mask), **rest)

    monkeypatch.setattr(type(model.model), "forward", without_mask)
    assert not can_answer_together(model)
