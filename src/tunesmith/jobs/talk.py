"""A model that answers a web page: `python -m tunesmith.jobs.talk`, in JSON lines. The process ends with the chat."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.config import Job
from tunesmith.config.load import load_job
from tunesmith.errors import UserError
from tunesmith.jobs.lines import Question, serve
from tunesmith.jobs.places import configuration_of
from tunesmith.jobs.process import settle_libraries

if TYPE_CHECKING:
    from tunesmith.inference.engine import ChatEngine

Part = dict[str, Any]
_MOST_SEEDS = 2**31


class Talk:
    """The loaded model and its settings."""

    def __init__(self) -> None:
        self._engine: ChatEngine | None = None
        self._job = Job()

    def load(self, question: Question, stopped: threading.Event) -> Iterator[Part]:
        """model: a run, checkpoint, folder, GGUF file or hub id; adapter: a folder; settings: keys laid over them."""
        settle_libraries()
        files, keys = configuration_of(question["model"], question.get("adapter") or None)
        resolved = load_job(files, {**keys, **question.get("settings", {})}, verb="chat")
        from tunesmith.inference.load import load_engine

        notes = list(resolved.notes)
        self._job = resolved.job
        self._engine = engine = load_engine(resolved.job, notes.append)
        yield {
            "name": engine.name,
            "tuned": engine.tuned,
            "room": engine.room,
            "template": engine.template.name,
            "system": resolved.job.data.default_system,
            "notes": notes,
            "files": [str(Path(file)) for file in files],
        }

    def answer(self, question: Question, stopped: threading.Event) -> Iterator[Part]:
        """Parts of kind text, thinking or call; at the end how it ended, tokens and seconds. base: without adapter."""
        from tunesmith.inference.conversation import conversation_of
        from tunesmith.inference.settings import with_changes

        engine = self._engine
        if engine is None:
            raise UserError("No model is loaded.")
        if question.get("base") and not engine.tuned:
            raise UserError("This model has no adapter that could be switched off.")
        data = self._job.data
        settings, thinking = with_changes(self._job.generation, data.enable_thinking, question.get("settings", {}))
        seed = question.get("seed")
        seed = random.randrange(_MOST_SEEDS) if seed is None or int(seed) < 0 else int(seed)
        engine.generator.manual_seed(seed)
        engine = replace(engine, thinking=thinking)
        conversation = conversation_of(
            question["messages"], system=question.get("system") or None, tools=question.get("tools") or ()
        )
        began, first = time.perf_counter(), None
        with engine.base() if question.get("base") else nullcontext():
            answer = engine.stream(conversation, settings)
            with closing(iter(answer)) as pieces:
                for piece in pieces:
                    first = first or time.perf_counter()
                    yield {"kind": piece.kind, "text": piece.text}
                    if stopped.is_set():
                        break
        seconds = time.perf_counter() - began
        said = answer.message
        yield {
            "kind": "done",
            "finish": answer.finish,
            "content": said.content,
            "thinking": said.thinking,
            "tool_calls": [{"name": call.name, "arguments": dict(call.arguments)} for call in said.tool_calls],
            "prompt_tokens": answer.prompt_tokens,
            "tokens": answer.tokens,
            "seconds": seconds,
            "first_seconds": None if first is None else first - began,
            "seed": seed,
        }


if __name__ == "__main__":
    talk = Talk()
    serve({"load": talk.load, "answer": talk.answer})
