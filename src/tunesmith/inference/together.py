"""Answers to several conversations at once: one pass through the model gives each its next token."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tunesmith.config import GenerationConfig
from tunesmith.inference.answer import Answer
from tunesmith.inference.engine import MEMORIES, ChatEngine, Prompted, told_when_full
from tunesmith.inference.sampling import next_token
from tunesmith.text.conversation import Conversation

_PROBE_ROWS = (5, 17)
_TAIL = 24  # tokens at an answer's end that a stop word may be spelled with


@dataclass(frozen=True, slots=True)
class Asked:
    """A conversation to be answered, as `ChatEngine.prompted` prepared it. seed: what its answer is drawn with."""

    conversation: Conversation
    prompted: Prompted
    seed: int


@dataclass(slots=True)
class _Row:
    """One answer on its way: the tokens of its question and its own, those that end it too."""

    prompt: list[int]
    longest: int
    generator: torch.Generator
    answer: list[int] = field(default_factory=list)


def answer_together(
    engine: ChatEngine, asked: Sequence[Asked], settings: GenerationConfig, *, stopping: Callable[[], bool]
) -> list[Answer]:
    """Whole answers in the order of the questions; each is what the engine answers alone, but for rounding.

    stopping: asked before every token; KeyboardInterrupt where it says so. UserError where the memory is not enough.
    """
    if not asked:
        return []
    rows = [
        _Row(each.prompted.ids.tolist(), each.prompted.longest, torch.Generator().manual_seed(each.seed))
        for each in asked
    ]
    with told_when_full():
        _generate(engine, rows, settings, stopping)
    answers = []
    for each, row in zip(asked, rows, strict=True):
        answer = engine.answer(each.conversation, each.prompted, row.answer, settings)
        for _ in answer:
            pass
        answers.append(answer)
    return answers


def can_answer_together(engine: ChatEngine) -> bool:
    """Whether a padded row gets the scores that it has alone: the model at hand is asked, no table is trusted."""
    drawn = torch.Generator().manual_seed(0)
    rows = [
        torch.randint(0, engine.tokenizer.vocab_size, (length,), generator=drawn).tolist() for length in _PROBE_ROWS
    ]
    try:
        together = _scores_of(engine, rows)
        alone = torch.cat([_scores_of(engine, [row]) for row in rows])
    except (NotImplementedError, TypeError, ValueError, RuntimeError, IndexError, KeyError):
        return False
    exact = next(engine.model.parameters()).dtype == torch.float32
    # As where rows are probed for training: half precision rounds, a mask that is not honoured is two orders larger.
    gap = float((together.log_softmax(dim=-1) - alone.log_softmax(dim=-1)).abs().mean())
    return gap <= (2e-3 if exact else 0.15)


def _scores_of(engine: ChatEngine, rows: Sequence[list[int]]) -> Tensor:
    """float32 [B, 2, V]: after these rows, and after one more token in each."""
    batch = _Batch(engine, rows)
    return torch.stack([batch.scores, batch.step([row[0] for row in rows], range(len(rows)))], dim=1)


class _Batch:
    """Rows of tokens, padded on the left, on their way through the model. scores: float32 [B, V] of the next tokens."""

    def __init__(self, engine: ChatEngine, rows: Sequence[Sequence[int]]) -> None:
        model: Any = engine.model
        self._model = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._taken = inspect.signature(self._model.forward).parameters
        self._vocabulary = engine.tokenizer.vocab_size  # embeddings may have rows beyond it, which no text can come of
        self._memory: dict[str, Any] = {}
        longest = max(map(len, rows))
        pads = [longest - len(row) for row in rows]
        self._mask = self._tensor([[0] * pad + [1] * (longest - pad) for pad in pads])
        self._lengths = self._tensor([len(row) for row in rows])
        ids = self._tensor([[0] * pad + list(row) for pad, row in zip(pads, rows, strict=True)])
        self.scores = self._forward(ids, (self._mask.cumsum(dim=1) - 1).clamp(min=0))

    def step(self, tokens: Sequence[int], live: Sequence[int]) -> Tensor:
        """The scores after one more token in each row. live: rows that go on; the others stay at their position, as
        the next one may be more than the model has."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)
        self.scores = self._forward(self._tensor(tokens)[:, None], self._lengths[:, None])
        self._lengths[list(live)] += 1
        return self.scores

    def _tensor(self, values: Sequence[Any]) -> Tensor:
        return torch.tensor(values, device=self._model.device)

    @torch.inference_mode()
    def _forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        wanted = {"position_ids": positions, "logits_to_keep": 1}
        options = {name: value for name, value in wanted.items() if name in self._taken}
        output = self._model(input_ids=ids, attention_mask=self._mask, use_cache=True, **options, **self._memory)
        held = next((name for name in MEMORIES if name in output and output[name] is not None), None)
        self._memory = {} if held is None else {held: output[held]}
        scores: Tensor = output.logits[:, -1, : self._vocabulary].float().cpu()
        return scores


def _generate(
    engine: ChatEngine, rows: Sequence[_Row], settings: GenerationConfig, stopping: Callable[[], bool]
) -> None:
    """Give each row its answer. Those that are at their end go along until all are."""
    ends = engine.ends
    batch = _Batch(engine, [row.prompt for row in rows])
    live = list(range(len(rows)))
    while True:
        if stopping():
            raise KeyboardInterrupt
        for at in live:
            row = rows[at]
            row.answer.append(next_token(batch.scores[at], row.prompt + row.answer, settings, row.generator))
        live = [at for at in live if not _is_at_its_end(engine, rows[at], ends.ids, ends.texts)]
        if not live:
            return
        batch.step([row.answer[-1] for row in rows], live)


def _is_at_its_end(engine: ChatEngine, row: _Row, ids: frozenset[int], texts: tuple[str, ...]) -> bool:
    if row.answer[-1] in ids or len(row.answer) >= row.longest:
        return True
    tail = engine.tokenizer.decode(row.answer[-_TAIL:], skip_special_tokens=False) if texts else ""
    return any(stop in tail for stop in texts)
