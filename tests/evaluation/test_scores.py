"""Scores are LLaMA-Factory's: reference_scores.json holds what nltk 3.10.4 (`sentence_bleu`, smoothing method 3, over
characters) and rouge-chinese 1.0.3 (over the words of jieba 0.42.1) give for these pairs of texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.evaluation import words
from tunesmith.evaluation.scoring import METRICS, score

PAIRS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("reference_scores.json").read_text(encoding="utf-8"))
NAMES = ("bleu-4", "rouge-1", "rouge-2", "rouge-l")


@pytest.mark.parametrize("pair", PAIRS, ids=range(len(PAIRS)))
def test_scores_are_those_of_the_libraries_that_llamafactory_uses(pair: dict[str, Any]) -> None:
    found = score(pair["predict"], pair["label"])
    assert {name: found[name] for name in NAMES} == pytest.approx({name: pair[name] for name in NAMES}, abs=1e-3)


def test_without_jieba_all_but_chinese_is_scored_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_jieba", lambda: None)
    others = [pair for pair in PAIRS if not words.is_chinese(pair["predict"] + pair["label"])]
    assert len(others) > 10
    for pair in others:
        found = score(pair["predict"], pair["label"])
        assert {name: found[name] for name in NAMES} == pytest.approx({name: pair[name] for name in NAMES}, abs=1e-3)
    assert words.words("我在北京 abc 3.5%，好") == ["我", "在", "北", "京", " ", "abc", " ", "3.5%", "，", "好"]


@pytest.mark.parametrize("text", ["It is 5.", "法国的首都是巴黎。", "one\n\ntwo words"])
def test_the_very_answer_gets_all_there_is(text: str) -> None:
    found = score(text, text)
    assert found["exact_match"] == 100
    assert all(value == pytest.approx(100, abs=1e-4) for value in found.values())


def test_an_exact_match_does_not_look_at_white_space() -> None:
    assert score(" It is\n5. ", "It is 5.")["exact_match"] == 100
    assert score("It is 6.", "It is 5.")["exact_match"] == 0


def test_a_metric_of_ones_own_is_scored_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    METRICS.names()
    monkeypatch.setitem(METRICS._members, "length", lambda predict, label: {"length": 100.0 * (len(predict) < 10)})
    assert score("short", "x")["length"] == 100
