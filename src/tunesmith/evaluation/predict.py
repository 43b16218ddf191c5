"""Asking a model all questions of a data set: each answer is scored and written as it comes, none is asked twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.evaluation.questions import Question
from tunesmith.evaluation.results import Predictions
from tunesmith.evaluation.scoring import score
from tunesmith.runs.files import append_line


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a question. prompt: as the model saw it. thinking: its reasoning, which is not scored; None where it
    had none. tokens: of the answer. error: why it could not be answered."""

    prompt: str
    text: str = ""
    thinking: str | None = None
    tokens: int = 0
    error: str | None = None


Ask = Callable[[Sequence[Question]], Sequence[Reply]]
"""Answers some questions, in their order."""


def ask_all(
    questions: Sequence[Question], written: Predictions, ask: Ask, *, base: Ask | None, together: int
) -> Iterator[tuple[int, int]]:
    """Ask what has no answer yet, `together` at a time; yields (questions, tokens of their answers) after each time.

    base: asks the untuned model the same. written: the file that the answers are appended to.
    """
    open_ = [question for question in questions if not is_answered(question, written, compared=base is not None)]
    for start in range(0, len(open_), together):
        batch = open_[start : start + together]
        replies = ask(batch)
        others: Sequence[Reply | None] = base(batch) if base else [None] * len(batch)
        for question, reply, other in zip(batch, replies, others, strict=True):
            append_line(written.path, _line(question, reply, other))
        yield len(batch), sum(reply.tokens for reply in (*replies, *filter(None, others)))


def is_answered(question: Question, written: Predictions, *, compared: bool) -> bool:
    """Whether the file has an answer to this very question, and the base's where that is wanted."""
    line = written.record(question.index)
    if line is None or line.get("error"):
        return False
    same = line.get("label") == question.label and line.get("messages") == _messages(question)
    return same and ("base" in line or not compared)


def _line(question: Question, reply: Reply, base: Reply | None) -> dict[str, Any]:
    """LLaMA-Factory's three keys first, then ours."""
    line: dict[str, Any] = {
        "prompt": reply.prompt,
        "predict": reply.text,
        "label": question.label,
        "index": question.index,
        "place": question.place,
        "messages": _messages(question),
    }
    if reply.error is not None:
        return {**line, "error": reply.error}
    line["scores"] = score(reply.text, question.label)
    if reply.thinking:
        line["thinking"] = reply.thinking
    if base is not None:
        line |= {"base": base.text, "base_scores": score(base.text, question.label)}
    return line


def _messages(question: Question) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in question.conversation.messages]
