"""A GGUF file that answers through llama.cpp, whatever its architecture: its own template, tokenizer and arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.config import GenerationConfig
from tunesmith.inference.answer import Answer, Ends
from tunesmith.inference.decoding import THINK_OPEN
from tunesmith.models.gguf.file import open_gguf
from tunesmith.models.gguf.runtime import Runtime, running
from tunesmith.text.conversation import Conversation, Message
from tunesmith.text.tools import tool_format

_MOST = 8192  # tokens of a conversation; memory is taken for all of them at once
# Between the parts of a JSON value any white space is allowed otherwise, and small models write it without end.
_NARROW = {"x-guidance": {"whitespace_pattern": "[ ]?"}}


@contextmanager
def llamacpp_engine(path: Path, *, thinking: bool | None, seed: int) -> Iterator[LlamaCppEngine]:
    """The file loaded; freed at the end. UserError where llama.cpp is not installed or does not take it."""
    metadata = open_gguf(path).metadata
    room = min(int(metadata.get(f"{metadata.get('general.architecture')}.context_length", _MOST)), _MOST)
    with running(path, context=room) as runtime:
        yield LlamaCppEngine(runtime, thinking, path.stem, room, seed)


@dataclass(frozen=True, slots=True)
class LlamaCppEngine:
    """What a chat asks of an engine (see `ChatEngine`). room: most tokens, question and answer together."""

    runtime: Runtime
    thinking: bool | None
    name: str
    room: int
    seed: int
    tuned: bool = False

    def base(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def chat(self, conversation: Conversation, settings: GenerationConfig) -> str:
        """What is answered, without the reasoning."""
        return "".join(piece.text for piece in self.stream(conversation, settings) if piece.kind != "thinking")

    def stream(
        self, conversation: Conversation, settings: GenerationConfig, schema: Mapping[str, Any] | None = None
    ) -> Answer:
        """The answer, generated while it is iterated over. schema: the answer is JSON of that JSON schema."""
        form = {} if schema is None else {"json_schema": {**schema, **_NARROW}}
        told = {} if self.thinking is None else {"chat_template_kwargs": {"enable_thinking": self.thinking}}
        prompt = self.runtime.render([_plain(message) for message in conversation.messages], **told)
        pieces = self.runtime.stream(
            prompt,
            n_predict=settings.max_new_tokens,
            temperature=settings.temperature if settings.do_sample else 0.0,
            top_p=settings.top_p,
            top_k=settings.top_k,
            repeat_penalty=settings.repetition_penalty,
            repeat_last_n=self.room,
            seed=self.seed,
            **form,
        )
        return _Told(pieces, thinking=prompt.rstrip().endswith(THINK_OPEN))


class _Told(Answer):
    """An answer that comes as text, ended by llama.cpp."""

    def __init__(self, pieces: Iterator[Mapping[str, Any]], *, thinking: bool) -> None:
        nothing: Any = None  # there are no tokens to read and no ends to look for
        tools = tool_format("default")
        super().__init__((), nothing, Ends(frozenset()), thinking=thinking, tools=tools, tools_offered=False,
                         prompt_tokens=0)  # fmt: skip
        self._told = pieces

    def _texts(self) -> Iterator[str]:
        for piece in self._told:
            self.tokens = piece.get("tokens_predicted") or self.tokens
            self.prompt_tokens = piece.get("tokens_evaluated") or self.prompt_tokens
            if piece.get("stop"):
                self.finish = "length" if piece.get("stop_type") == "limit" else "stop"
            yield str(piece.get("content", ""))


def _plain(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.content}
