"""Answers from a loaded model: the renderer that training used, tokens out as they come, the right tokens to stop at."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, StoppingCriteria
from transformers.generation.streamers import BaseStreamer

from tunesmith.config import GenerationConfig
from tunesmith.errors import UserError
from tunesmith.text.conversation import Conversation
from tunesmith.text.template import ChatTemplate
from tunesmith.text.tokenizer import CutText, Tokenizer

_INCOMPLETE = "\ufffd"  # what a decoder shows for the first bytes of a character that is not whole yet


@dataclass(frozen=True, slots=True)
class ChatEngine:
    """A model that answers. tuned: the same weights with and without adapter can be asked (`base`).

    thinking: what the template is told about reasoning, None leaves it to the template.
    """

    model: PreTrainedModel
    tokenizer: Tokenizer
    template: ChatTemplate
    thinking: bool | None
    name: str

    @property
    def tuned(self) -> bool:
        return hasattr(self.model, "disable_adapter")

    @property
    def stop_ids(self) -> list[int]:
        """Every token that ends an answer: the template's, the tokenizer's, those of the model's generation config."""
        ids = {self.tokenizer.id_of(word) for word in self.template.stop_words} | {self.tokenizer.eos_id}
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        ids |= set(configured) if isinstance(configured, (list, tuple)) else {configured}
        return sorted(i for i in ids if i is not None)

    def base(self) -> AbstractContextManager[Any]:
        """Within this context the model answers as it did before training."""
        return self.model.disable_adapter() if self.tuned else nullcontext()

    def prompt(self, conversation: Conversation) -> np.ndarray:
        """int32 ids of the conversation up to where the model goes on: as in training, the answer left out."""
        rendered = self.template.render(conversation, generation_prompt=True, thinking=self.thinking)
        ids, _ = self.tokenizer.encode_cut([CutText(rendered.text, (), rendered.literals)])
        return ids

    def chat(self, conversation: Conversation, settings: GenerationConfig) -> str:
        """The whole answer."""
        return "".join(self.stream(conversation, settings))

    def stream(self, conversation: Conversation, settings: GenerationConfig) -> Iterator[str]:
        """The answer in pieces, as they are generated. Closing the iterator ends the generation."""
        ids = self.prompt(conversation)
        room = getattr(self.model.config, "max_position_embeddings", None)
        if room and len(ids) >= room:
            raise UserError(
                f"The conversation is {len(ids)} tokens long; the model takes {room}.",
                hint="/clear starts a new one.",
            )
        longest = min(settings.max_new_tokens, room - len(ids)) if room else settings.max_new_tokens
        arguments = _arguments(settings) | {"max_new_tokens": longest, "eos_token_id": self.stop_ids}
        prompt = torch.from_numpy(ids).long()[None].to(self.model.device)
        with _generation(self.model, prompt, arguments, self._pad_id()) as tokens:
            yield from _decoded(tokens, self.tokenizer, set(self.stop_ids), settings.skip_special_tokens)

    def _pad_id(self) -> int:
        return self.tokenizer.pad_id if self.tokenizer.pad_id is not None else self.stop_ids[0] if self.stop_ids else 0


def _arguments(settings: GenerationConfig) -> dict[str, Any]:
    """generate()'s own words for the settings; temperature 0 is greedy."""
    arguments: dict[str, Any] = {"repetition_penalty": settings.repetition_penalty, "num_beams": 1}
    if not settings.do_sample or settings.temperature == 0:
        return arguments | {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return arguments | {
        "do_sample": True,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
    }


class _Queue(BaseStreamer):
    """Hands token ids from the generating thread to the one that shows them."""

    def __init__(self) -> None:
        self.tokens: queue.Queue[int | BaseException | None] = queue.Queue()
        self._prompt_seen = False

    def put(self, value: Tensor) -> None:
        if not self._prompt_seen:  # generate() sends the prompt first
            self._prompt_seen = True
            return
        for token in value.flatten().tolist():
            self.tokens.put(token)

    def end(self) -> None:
        self.tokens.put(None)


class _Stop(StoppingCriteria):
    def __init__(self) -> None:
        self.asked = threading.Event()

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        return torch.full((input_ids.shape[0],), self.asked.is_set(), device=input_ids.device, dtype=torch.bool)


@contextmanager
def _generation(model: PreTrainedModel, prompt: Tensor, arguments: dict[str, Any], pad: int) -> Iterator[Iterator[int]]:
    """Generate in a thread; yields the tokens. Leaving the context ends the thread."""
    streamer, stop = _Queue(), _Stop()

    def work() -> None:
        try:
            with torch.inference_mode():
                model.generate(
                    prompt, attention_mask=torch.ones_like(prompt), streamer=streamer, stopping_criteria=[stop],
                    pad_token_id=pad, **arguments,
                )  # fmt: skip
        except BaseException as error:  # shown in the thread that asked
            streamer.tokens.put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield _received(streamer.tokens)
    finally:
        stop.asked.set()
        thread.join()


def _received(tokens: queue.Queue[int | BaseException | None]) -> Iterator[int]:
    while (token := tokens.get()) is not None:
        if isinstance(token, BaseException):
            raise token
        yield token


def _decoded(tokens: Iterator[int], tokenizer: Tokenizer, stops: set[int], skip_special: bool) -> Iterator[str]:
    """Text as soon as its characters are whole."""
    held: list[int] = []
    shown = ""
    for token in tokens:
        if token in stops:
            break
        held.append(token)
        text = _text(tokenizer, held, skip_special)
        if text.endswith(_INCOMPLETE):
            continue
        if len(text) > len(shown):
            yield text[len(shown) :]
            shown = text
        if text.endswith("\n"):  # a line is done: what follows decodes the same without it
            held, shown = [], ""
    rest = _text(tokenizer, held, skip_special)[len(shown) :]
    if rest:
        yield rest


def _text(tokenizer: Tokenizer, ids: Sequence[int], skip_special: bool) -> str:
    return tokenizer.decode(ids, skip_special_tokens=skip_special)
