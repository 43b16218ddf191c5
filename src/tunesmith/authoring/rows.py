"""From candidates to the rows of a data set: checked, without repetitions, with where they come from, split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith.authoring.candidates import Candidate
from tunesmith.authoring.decisions import Decisions
from tunesmith.authoring.duplicates import Duplicates
from tunesmith.authoring.journal import Source
from tunesmith.authoring.options import MakeOptions
from tunesmith.authoring.quality import Failed, Passed, check

Row = dict[str, Any]
Verdict = Mapping[str, Any]
BY_HAND = "by hand"
"""Why a row is held back that a person rejected."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A candidate that passed the cheap checks. by_hand: a person accepted it, whatever the checks say.

    found: None where the checks would have held it back.
    """

    candidate: Candidate
    found: Passed | None
    by_hand: bool = False


@dataclass(slots=True)
class Sieve:
    """Passes candidates on and keeps those that it holds back, counted by kind."""

    options: MakeOptions
    model: str
    rejected: Callable[[Row], None]
    decisions: Decisions = field(default_factory=Decisions)
    counts: Counter[str] = field(default_factory=Counter)

    def checked(self, candidates: Iterable[Candidate]) -> Iterator[Kept]:
        """Those that are fine by themselves and don't repeat an earlier question, and those that a person accepted."""
        repeated = Duplicates(self.options.duplicates)
        numbered: list[str] = []
        for candidate in map(self._as_decided, candidates):
            decision = self.decisions.on(candidate.key)
            found = check(candidate, self.options)
            if isinstance(found, Failed) and decision is None:
                self._hold_back(candidate, found.kind, found.reason)
                continue
            # One that a person rejects still counts as asked: what repeats it does not take its place.
            earlier = repeated.earlier(candidate.question)
            if earlier is None:
                numbered.append(candidate.question[:200])
            if decision is not None and decision.verdict == "rejected":
                self._hold_back(candidate, BY_HAND, "rejected by hand")
            elif decision is None and earlier is not None:
                self._hold_back(candidate, "duplicate", f"it repeats the question {numbered[earlier]!r}")
            else:
                yield Kept(candidate, None if isinstance(found, Failed) else found, by_hand=decision is not None)

    def _as_decided(self, candidate: Candidate) -> Candidate:
        """The candidate in the words that a person gave it."""
        decision = self.decisions.on(candidate.key)
        if decision is None or (decision.question is None and decision.answer is None):
            return candidate
        question, answer = decision.question, decision.answer
        return replace(
            candidate,
            question=candidate.question if question is None else question,
            answer=candidate.answer if answer is None else answer,
        )

    def approved(self, kept: Kept, verdict: Verdict | None) -> bool:
        """Whether the judge lets it pass; without a verdict it does not. What a person accepted passes anyway."""
        if kept.by_hand:
            return True
        if verdict is None:
            self._hold_back(kept.candidate, "not judged", "the judge gave no verdict")
        elif verdict["score"] < self.options.judge_score:
            reason = f"the judge gives {verdict['score']} of 5: {verdict['reason']}"
            self._hold_back(kept.candidate, "judge", reason)
        else:
            return True
        return False

    def _hold_back(self, candidate: Candidate, kind: str, reason: str) -> None:
        self.counts[kind] += 1
        row = row_of(candidate, None, self.options, self.model)
        self.rejected({"reason": reason, "kind": kind, "key": candidate.key, **row})


def row_of(
    candidate: Candidate, found: Passed | None, options: MakeOptions, model: str, verdict: Verdict | None = None
) -> Row:
    """The row with all that is known of it; only the conversation is ever trained on."""
    row: Row = {
        **conversation(options.format, candidate.question, candidate.answer, options.system),
        **place_of(candidate.source),
        "style": candidate.style,
        "evidence": candidate.evidence,
        "evidence_start": found.start if found else None,
        "evidence_end": found.end if found else None,
        "grounding": found.grounding if found else None,
        "model": model,
        "prompt": candidate.prompt,
    }
    if options.judge:
        row |= {f"judge_{name}": verdict[name] if verdict else None for name in ("score", "reason")}
    return row


def place_of(source: Source) -> Row:
    """Where a chunk stands, in the columns of a row."""
    chunk = source.chunk
    return {
        "source": source.path.as_posix(),
        "source_title": source.title,
        "source_heading": " > ".join(chunk.heading),
        "source_page": chunk.page,
        "source_start": chunk.start,
        "source_end": chunk.end,
        "chunk": chunk.hash,
    }


def conversation(
    format: str, question: str, answer: str, system: str = "", history: Sequence[tuple[str, str]] = ()
) -> Row:
    """The columns of a format that hold a conversation. history: earlier questions and answers."""
    if format == "alpaca":
        row: Row = {"instruction": question, "input": "", "output": answer, "system": system}
        return row | ({"history": [list(pair) for pair in history]} if history else {})
    said = [text for pair in history for text in pair] + [question, answer]
    if format == "sharegpt":
        turns = [{"from": "gpt" if at % 2 else "human", "value": text} for at, text in enumerate(said)]
        return {"conversations": turns, "system": system}
    messages = [{"role": "assistant" if at % 2 else "user", "content": text} for at, text in enumerate(said)]
    return {"messages": [{"role": "system", "content": system}] * bool(system) + messages}
