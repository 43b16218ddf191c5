"""A stand-in for the encoder: a character is a token, answers are trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.text.conversation import Document
from tunesmith.text.rows import RowError


@dataclass(frozen=True)
class Sample:
    input_ids: np.ndarray
    weights: np.ndarray
    truncated: bool


class CharEncoder:
    """Encodes each character as its code point."""

    notes = ()

    def __init__(self, cutoff: int = 10_000) -> None:
        self.cutoff = cutoff
        self.rows = 0

    def encode(self, examples):
        self.rows += len(examples)
        return [self._one(example) for example in examples]

    def _one(self, example):
        if isinstance(example, Document):
            texts = [(example.text, 1)]
        else:
            texts = [(message.content, message.role == "assistant") for message in example.messages]
        if any("refuse me" in text for text, _ in texts):
            return RowError("the encoder refuses it")
        ids = np.array([ord(char) for text, _ in texts for char in text], dtype=np.int32)
        weights = np.array([trained for text, trained in texts for _ in text], dtype=np.float32)
        return Sample(ids[: self.cutoff], weights[: self.cutoff], len(ids) > self.cutoff)


def text_of(ids) -> str:
    return "".join(map(chr, ids))
