"""Conversations and documents to token samples: ids and the weight of each token in the loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.text.conversation import Conversation, Document, Example, Rendered
from tunesmith.text.rows import RowError
from tunesmith.text.template import ChatTemplate
from tunesmith.text.tokenizer import CutText, Tokenizer

PROOF_TEXTS = 400
"""How many texts of the data the faster encoder has to encode equally before it is used."""


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """cutoff_len: most tokens of a sample, None for no limit; the others as LLaMA-Factory's keys of the same name.

    thinking: see ChatTemplate.render. cut_documents: False leaves documents whole, for packing to cut them.
    """

    cutoff_len: int | None = 2048
    train_on_prompt: bool = False
    mask_history: bool = False
    thinking: bool | None = True
    cut_documents: bool = True


@dataclass(frozen=True, slots=True)
class TokenSample:
    """input_ids: int32 [T]. weights: float32 [T], of token i itself in the loss (not shifted); 0 is context.

    truncated: whether tokens were left out to fit cutoff_len. The arrays may be views of a larger one: copy to keep.
    """

    input_ids: np.ndarray
    weights: np.ndarray
    truncated: bool = False


@dataclass(slots=True)
class _Row:
    """One example on its way: its pieces alternate between prompt and answer."""

    cut: CutText
    weights: list[float]


class Encoder:
    """Encodes batches; the more rows at once (thousands), the faster."""

    def __init__(
        self, tokenizer: Tokenizer, template: ChatTemplate | None, options: EncodeOptions | None = None
    ) -> None:
        """template: may be None where there are only documents."""
        self.tokenizer, self.template = tokenizer, template
        self.options = options or EncodeOptions()
        self._speed_note: str | None = None
        self._unshown = 0
        self._proven = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the rows encoded so far."""
        notes = [self._speed_note] if self._speed_note else []
        if self._unshown:
            notes.append(
                f"{self._unshown} earlier answers are context only: the model's chat template leaves out their "
                "reasoning. Name a family with `template:` to train them with it."
            )
        return tuple(notes)

    def encode(self, examples: Sequence[Example]) -> list[TokenSample | RowError]:
        """One result per example, in order; a row that can't be used gives the reason instead of a sample."""
        rows = [self._row(example) for example in examples]
        good = [row for row in rows if isinstance(row, _Row)]
        if not self._proven and good:
            self._prove([row.cut.text for row in good])
        ids, lengths = self.tokenizer.encode_cut([row.cut for row in good])
        weights = np.repeat(np.array([w for row in good for w in row.weights], dtype=np.float32), lengths)
        counts, samples = lengths.tolist(), iter(self._samples(good, ids, weights, lengths))
        assert len(counts) == sum(len(row.weights) for row in good)
        return [next(samples) if isinstance(row, _Row) else row for row in rows]

    def _prove(self, texts: Sequence[str]) -> None:
        self._proven = True
        step = max(len(texts) // PROOF_TEXTS, 1)
        segments = [part for text in texts[::step] for part in self.tokenizer.control_pattern.split(text)]
        self._speed_note = self.tokenizer.accelerate(segments)

    def _row(self, example: Example) -> _Row | RowError:
        try:
            row = self._document(example) if isinstance(example, Document) else self._conversation(example)
        except RowError as error:
            return error
        if not row.cut.text.isascii():
            try:
                row.cut.text.encode()
            except UnicodeEncodeError as error:
                return RowError(f"the text has half a character (a lone surrogate) at place {error.start + 1}")
        return row

    def _document(self, document: Document) -> _Row:
        if not document.text:
            raise RowError("the document is empty")
        return _Row(CutText(document.text, (), ((0, len(document.text)),)), [1.0])

    def _conversation(self, conversation: Conversation) -> _Row:
        assert self.template is not None, "conversations need a template"
        options = self.options
        rendered = self.template.render(
            conversation, thinking=options.thinking, keep_reasoning=not options.mask_history
        )
        wanted = self._wanted(conversation, rendered)
        self._unshown += sum(message.role == "assistant" for message in conversation.messages) - len(wanted)
        if not any(wanted):
            raise RowError("nothing in this conversation is to be trained: no assistant turn is left")
        cuts: list[int] = []
        weights: list[float] = []
        prompt_weight = 1.0 if options.train_on_prompt else 0.0
        for span, weight in zip(rendered.spans, wanted, strict=True):
            cuts += (span.start, span.end)
            weights += (prompt_weight, weight)
        if cuts[-1] == len(rendered.text):
            cuts.pop()
        else:
            weights.append(prompt_weight)
        return _Row(CutText(rendered.text, tuple(cuts), rendered.literals), weights)

    def _wanted(self, conversation: Conversation, rendered: Rendered) -> list[float]:
        """Weight of each answer: the row's own flag, else all of them, or the last alone with mask_history."""
        last = len(rendered.spans) - 1
        wanted = []
        for i, span in enumerate(rendered.spans):
            flag = conversation.messages[span.message].train
            default = i == last or not self.options.mask_history
            wanted.append(1.0 if (default if flag is None else flag) else 0.0)
        return wanted

    def _samples(
        self, rows: Sequence[_Row], ids: np.ndarray, weights: np.ndarray, lengths: np.ndarray
    ) -> Iterator[TokenSample | RowError]:
        counts = lengths.tolist()
        before, after = self.tokenizer.document_frame
        limit = self.options.cutoff_len
        piece = token = 0
        for row in rows:
            pieces = counts[piece : piece + len(row.weights)]
            piece += len(pieces)
            end = token + sum(pieces)
            row_ids, row_weights = ids[token:end], weights[token:end]
            token = end
            if len(pieces) == 1:
                yield self._framed(row_ids, before, after)
            elif limit is None or len(row_ids) <= limit:
                yield TokenSample(row_ids, row_weights)
            else:
                kept = self._kept(pieces, limit)
                yield _truncated(row_ids[kept], row_weights[kept])

    def _framed(self, ids: np.ndarray, before: tuple[int, ...], after: tuple[int, ...]) -> TokenSample:
        framed = np.concatenate([np.array(before, np.int32), ids, np.array(after, np.int32)])
        limit = self.options.cutoff_len if self.options.cut_documents else None
        kept = framed[:limit]
        return TokenSample(kept, np.ones(len(kept), np.float32), len(kept) < len(framed))

    def _kept(self, pieces: Sequence[int], limit: int) -> np.ndarray:
        """Indices of the tokens that fit, round by round; with mask_history backward, so that the last survives."""
        padded = [*pieces, 0] if len(pieces) % 2 else list(pieces)
        starts = np.concatenate([[0], np.cumsum(padded)]).tolist()
        rounds = list(range(0, len(padded), 2))
        kept: list[np.ndarray] = []
        for i in reversed(rounds) if self.options.mask_history else rounds:
            if limit <= 0:
                break
            prompt, answer = share(padded[i], padded[i + 1], limit)
            limit -= prompt + answer
            kept += (np.arange(starts[i], starts[i] + prompt), np.arange(starts[i + 1], starts[i + 1] + answer))
        return np.sort(np.concatenate(kept))


def _truncated(ids: np.ndarray, weights: np.ndarray) -> TokenSample | RowError:
    if not weights.any():
        return RowError("after cutting to cutoff_len nothing is left to train; raise cutoff_len")
    return TokenSample(ids, weights, True)


def share(prompt: int, answer: int, limit: int) -> tuple[int, int]:
    """How many tokens of a prompt and its answer fit in limit, as LLaMA-Factory shares them.

    A short side is kept whole; if both are long each loses in proportion.
    """
    if answer * 2 < limit:
        most_answer = limit
    elif prompt * 2 < limit:
        most_answer = limit - prompt
    else:
        most_answer = int(limit * (answer / (prompt + answer)))
    answer = min(most_answer, answer)
    return min(max(limit - answer, 0), prompt), answer
