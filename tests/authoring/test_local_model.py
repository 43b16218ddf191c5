"""A model of this machine as the one that is asked."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tunesmith.authoring.asking import Question, ask_all
from tunesmith.authoring.journal import Journal
from tunesmith.authoring.model import Reply
from tunesmith.authoring.options import MakeOptions
from tunesmith.authoring.stop import Stop
from tunesmith.cli.main import main
from tunesmith.config import GenerationConfig
from tunesmith.jobs.answering import opened, who
from tunesmith.runs.layout import RunLayout

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


class Told:
    """An answer of ten pieces, that tells what happens to its engine meanwhile."""

    prompt_tokens = tokens = 1
    finish = "stop"

    def __init__(self, engine: SlowEngine) -> None:
        self._engine = engine

    def __iter__(self) -> Iterator[SimpleNamespace]:
        self._engine.begun.append(len(self._engine.begun))
        for _ in range(10):
            self._engine.at_piece()
            self._engine.misused |= self._engine.closed
            yield SimpleNamespace(text="x", kind="text")


class SlowEngine:
    def __init__(self, at_piece: Callable[[], None]) -> None:
        self.at_piece, self.closed, self.misused = at_piece, False, False
        self.begun: list[int] = []
        self.limits: set[int] = set()

    def stream(self, conversation: object, settings: GenerationConfig) -> Told:
        self.limits.add(settings.max_new_tokens)
        return Told(self)


@pytest.mark.parametrize("times", [1, 2])
def test_stopped_it_begins_no_further_answer_and_is_not_freed_while_it_writes(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()
    pieces = 0

    def at_piece() -> None:
        nonlocal pieces
        pieces += 1
        for _ in range(times if pieces == 3 else 0):
            stop.ask()
        time.sleep(0.01)

    engine = SlowEngine(at_piece)

    @contextmanager
    def loaded(options: MakeOptions) -> Iterator[SlowEngine]:
        yield engine
        engine.closed = True

    monkeypatch.setattr("tunesmith.jobs.answering._loaded", loaded)
    questions = [
        Question("q", [{"role": "user", "content": str(at)}], {}, lambda reply: reply.text, most=77) for at in range(9)
    ]
    written: list[int] = []

    async def asking() -> int:
        with Journal(tmp_path / "journal.sqlite") as journal:
            async with opened(MakeOptions(model="books"), stop, writing=written.append) as model:
                return (await ask_all(questions, model, journal, concurrency=8, stop=stop)).answered

    assert asyncio.run(asking()) == (1 if times == 1 else 0)
    time.sleep(0.03)  # a thread that is left over would have come to its next piece
    assert engine.begun == [0] and engine.closed and not engine.misused
    assert engine.limits == {77} and written == [*range(1, len(written)), 0]  # told as it grows
    assert pieces == 10 if times == 1 else pieces < 10


def test_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    names = set()
    for run in ("x", "y"):
        folder = tmp_path / run / "checkpoint-100"
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_bytes(run.encode())
        os.utime(folder / "adapter_model.safetensors", (0, 1 if run == "x" else 2))
        names.add(who(MakeOptions(model=str(folder)))[0])
    assert len(names) == 2 and all(name.startswith("checkpoint-100@") for name in names)


def test_what_it_can_not_answer_is_told_and_nothing_is_written(
    tiny_model_dir: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A prompt is longer than the 256 tokens of this model."""
    here = os.path.relpath(tiny_model_dir("qwen3"))
    flags = ["--out", "space", "--model", here, "--tokenizer", here]
    assert main(["data", "make", "books", *flags]) == 2
    told = capsys.readouterr()
    assert "at this machine" in told.out
    assert "No row came of it: 6 questions failed" in told.err and "this model takes 256" in told.err
    assert not Path("data/space.jsonl").exists()
    recorded = RunLayout(Path("saves/data/space")).resolved.read_text(encoding="utf-8")
    for key in ("model", "tokenizer"):  # so that it is found from everywhere
        assert f"{key}: {json.dumps(str(Path(here).absolute()))}" in recorded
