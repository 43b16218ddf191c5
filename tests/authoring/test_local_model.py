"""A model of this machine as the one that is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.authoring.model import Reply
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


def test_a_gguf_file_in_llama_cpp_is_held_to_the_form_of_its_answer(
    tiny_model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    """The words of a random model are no JSON by themselves."""
    base = ["--base", str(tiny_model_dir("qwen3")), "--export-dir", str(tmp_path / "tiny")]
    assert main(["export", *base, "--quant", "f32", "export_verify=false", "template=qwen"]) == 0
    kind = {"type": "object", "properties": {"kind": {"enum": ["whale", "ship"]}}, "required": ["kind"]}
    schema = {**kind, "additionalProperties": False}
    options = MakeOptions(model=str(tmp_path / "tiny" / "tiny-f32.gguf"), max_tokens=40)

    async def asking() -> Reply:
        async with opened(options, Stop()) as model:
            return await model.ask([{"role": "user", "content": "What is it?"}], schema)

    reply = asyncio.run(asking())
    assert json.loads(reply.text)["kind"] in ("whale", "ship")
    assert reply.prompt_tokens > 5 and not reply.cut


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
