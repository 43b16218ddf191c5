"""A model's verdict on each row: a score from 1 to 5 with its reason, asked for with the chunk at hand."""

from __future__ import annotations

import hashlib
from typing import Any

from tunesmith.authoring.asking import Question
from tunesmith.authoring.candidates import Candidate
from tunesmith.authoring.model import Reply
from tunesmith.authoring.prompting import Prompts
from tunesmith.authoring.structured import BadAnswer, objects

_VERDICT = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "score": {"type": "integer"}},
    "required": ["reason", "score"],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"type": "array", "items": _VERDICT}},
    "required": ["verdict"],
    "additionalProperties": False,
}
COMPLETION_TOKENS = 60


def row_judged(candidate: Candidate) -> str:
    """What a verdict counts for: the row in the very words that it was asked about, which a person may have changed."""
    words = hashlib.sha256(f"{candidate.question}\n{candidate.answer}".encode("utf-8", "replace")).hexdigest()
    return f"{candidate.key} {words[:16]}"


def verdict_on(candidate: Candidate, prompts: Prompts) -> Question:
    """The question for a verdict, whose answer is {"score", "reason"}."""
    template = prompts.get("judge", candidate.language)
    messages = template.render(text=candidate.source.chunk.shown, question=candidate.question, answer=candidate.answer)
    return Question("judge", messages, SCHEMA, _read, most=8 * COMPLETION_TOKENS)


def _read(reply: Reply) -> dict[str, Any]:
    found = objects(reply.text, "verdict")[0]
    score = found.get("score")
    if isinstance(score, str) and score.strip()[:1].isdigit():
        score = int(score.strip()[0])
    if not isinstance(score, int | float) or not 1 <= score <= 5:
        raise BadAnswer('its "score" is no number from 1 to 5')
    reason = found.get("reason")
    return {"score": round(score), "reason": reason if isinstance(reason, str) else ""}
