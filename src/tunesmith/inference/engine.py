"""Answers from a loaded model: rendered as in training, streamed as they come, ended where the model ends them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from tunesmith.config import GenerationConfig
from tunesmith.errors import UserError
from tunesmith.inference.answer import Answer, Ends
from tunesmith.inference.decoding import THINK_OPEN, Detokenizer
from tunesmith.inference.sampling import next_token
from tunesmith.models.adapter_files import before_training
from tunesmith.text.conversation import Conversation, Rendered
from tunesmith.text.rows import RowError
from tunesmith.text.template import ChatTemplate
from tunesmith.text.tokenizer import CutText, Tokenizer

# What a forward pass hands to the next one: attention's keys and values, or the state of a recurrent model.
MEMORIES = ("cache", "past_key_values", "cache_params", "state")


class Prompted(NamedTuple):
    """A question as the model sees it. ids: int32 [T]; longest: most tokens that its answer may have."""

    text: str
    ids: np.ndarray
    longest: int


@dataclass(frozen=True, slots=True)
class ChatEngine:
    """A model that answers. tuned: the same weights with and without adapter can be asked (`base`).

    thinking: what the template is told about reasoning, None leaves it to the template. generator: on the CPU, draws
    the tokens; one seed gives the same answers to the same questions in the same order.
    """

    model: PreTrainedModel
    tokenizer: Tokenizer
    template: ChatTemplate
    thinking: bool | None
    name: str
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(42))

    @property
    def tuned(self) -> bool:
        return hasattr(self.model, "disable_adapter")

    def base(self) -> AbstractContextManager[Any]:
        """Within this context the model answers as it did before training."""
        return before_training(self.model)

    @property
    def room(self) -> int | None:
        """Most tokens that the model takes, question and answer together; None where it names no limit."""
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return limit if isinstance(limit, int) and limit > 0 else None

    @property
    def ends(self) -> Ends:
        """Everything that ends an answer: the template's stop words, the tokenizer's end token, generation_config's."""
        words = {word: self.tokenizer.id_of(word) for word in self.template.stop_words}
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        listed = configured if isinstance(configured, list | tuple) else [configured]
        ids = {*words.values(), *self.tokenizer.stop_ids, *listed}
        spelled = tuple(word for word, id in words.items() if id is None)
        return Ends(frozenset(id for id in ids if id is not None), spelled)

    def prompt(self, conversation: Conversation) -> np.ndarray:
        """int32 ids of the conversation up to where the model goes on: as in training, the answer left out."""
        return self._encoded(conversation, self._rendered(conversation))

    def chat(self, conversation: Conversation, settings: GenerationConfig) -> str:
        """What is answered, without the reasoning."""
        return "".join(piece.text for piece in self.stream(conversation, settings) if piece.kind != "thinking")

    def stream(self, conversation: Conversation, settings: GenerationConfig) -> Answer:
        """The answer, generated while it is iterated over. UserError for a conversation that can't be answered."""
        prompted = self.prompted(conversation, settings)
        return self.answer(conversation, prompted, self._tokens(prompted.ids, prompted.longest, settings), settings)

    def prompted(self, conversation: Conversation, settings: GenerationConfig) -> Prompted:
        """The conversation as the model sees it, and how long its answer may be. UserError where it has no room."""
        rendered = self._rendered(conversation)
        ids = self._encoded(conversation, rendered)
        longest = settings.max_new_tokens
        if self.room is not None:
            longest = min(longest, self.room - len(ids))
            if longest <= 0:
                raise UserError(
                    f"The conversation is {len(ids):,} tokens long; this model takes {self.room:,}.",
                    hint="Start a new conversation (/clear in the terminal) or ask for less.",
                )
        return Prompted(rendered.text, ids, longest)

    def answer(
        self, conversation: Conversation, prompted: Prompted, tokens: Iterable[int], settings: GenerationConfig
    ) -> Answer:
        """The answer that the tokens make."""
        return Answer(
            tokens,
            Detokenizer(self.tokenizer, skip_special_tokens=settings.skip_special_tokens),
            self.ends,
            thinking=prompted.text.rstrip().endswith(THINK_OPEN),
            tools=self.template.tool_format,
            tools_offered=bool(conversation.tools),
            prompt_tokens=len(prompted.ids),
        )

    def _rendered(self, conversation: Conversation) -> Rendered:
        try:
            return self.template.render(conversation, generation_prompt=True, thinking=self.thinking)
        except RowError as error:
            name = self.template.name
            raise UserError(f"The template {name} can't write this conversation: {error.reason}.") from None

    def _encoded(self, conversation: Conversation, rendered: Rendered) -> np.ndarray:
        ids, _ = self.tokenizer.encode_cut(
            [CutText(rendered.text, self._borders(conversation, rendered.text), rendered.literals)]
        )
        return ids

    def _borders(self, conversation: Conversation, text: str) -> tuple[int, ...]:
        """Where earlier answers begin and end in the text. They are encoded apart, as in training: an answer's first
        line break could merge with the one before it."""
        if not any(message.role == "assistant" for message in conversation.messages):
            return ()
        try:
            past = self.template.render(conversation, thinking=self.thinking, keep_reasoning=False)
        except RowError:
            return ()
        return tuple(at for span in past.spans for at in (span.start, span.end)) if text.startswith(past.text) else ()

    def _tokens(self, prompt: np.ndarray, longest: int, settings: GenerationConfig) -> Iterator[int]:
        """Token after token, `longest` at most, those that end an answer too."""
        model: Any = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        last_only = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
        vocabulary = self.tokenizer.vocab_size  # embeddings may have rows beyond it, which no text can come of
        so_far, fresh = prompt.tolist(), prompt.tolist()
        memory: dict[str, Any] = {}
        with told_when_full():
            for _ in range(longest):
                scores, memory = _forward(model, fresh, memory | last_only)
                token = next_token(scores[:vocabulary], so_far, settings, self.generator)
                yield token
                fresh = [token]
                so_far.append(token)


@torch.inference_mode()
def _forward(model: Any, ids: Sequence[int], options: Mapping[str, Any]) -> tuple[Tensor, dict[str, Any]]:
    """(logits [V] after the last of these ids, what the next pass needs)."""
    output = model(input_ids=torch.tensor([ids], device=model.device), use_cache=True, **options)
    held = next((name for name in MEMORIES if name in output and output[name] is not None), None)
    return output.logits[0, -1], {} if held is None else {held: output[held]}


@contextmanager
def told_when_full() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            "The memory of the device is not enough for this answer.",
            hint="Start a new conversation, lower max_new_tokens, or load the model with quantization_bit: 4.",
        ) from error
