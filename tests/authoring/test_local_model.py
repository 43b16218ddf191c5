"""A model of this machine as the one that is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.authoring.options import MakeOptions
from tunesmith.authoring.stop import Stop
from tunesmith.cli.main import main
from tunesmith.jobs.answering import opened, who

pytestmark = pytest.mark.usefixtures("workplace")


def test_it_answers_as_a_server_would(tiny_model_dir: Callable[..., Path]) -> None:
    options = MakeOptions(model=str(tiny_model_dir("qwen3")), max_tokens=8, temperature=0.0)

    async def asking() -> list[object]:
        async with opened(options, Stop()) as model:
            messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who made you?"}]
            return [await model.ask(messages, {}) for _ in range(2)]

    first, second = asyncio.run(asking())
    assert first == second
    assert first.prompt_tokens > 10 and 0 < first.completion_tokens <= 8  # type: ignore[attr-defined]
    assert who(options)[1] is None


def test_what_it_can_not_answer_is_told_and_nothing_is_written(
    tiny_model_dir: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A prompt is longer than the 256 tokens of this model."""
    flags = ["--out", "space", "--model", str(tiny_model_dir("qwen3"))]
    assert main(["data", "make", "books", *flags]) == 2
    told = capsys.readouterr()
    assert "at this machine" in told.out
    assert "No row came of it: 6 questions failed" in told.err and "this model takes 256" in told.err
    assert not Path("data/space.jsonl").exists()
