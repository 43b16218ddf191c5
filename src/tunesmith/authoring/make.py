"""`data make`: read, cut, ask, check, and give the rows away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.authoring.asking import Question, Tally, ask_all
from tunesmith.authoring.candidates import TOKENS_PER_ENTRY, Candidate, candidates, questions
from tunesmith.authoring.chunk import Chunk, Count, cut
from tunesmith.authoring.decisions import Decisions
from tunesmith.authoring.document import Found, open_document, shown_path
from tunesmith.authoring.holdout import validation_groups
from tunesmith.authoring.journal import Journal
from tunesmith.authoring.judge import COMPLETION_TOKENS, row_judged, verdict_on
from tunesmith.authoring.model import Model
from tunesmith.authoring.options import MakeOptions
from tunesmith.authoring.prompting import Prompts
from tunesmith.authoring.rows import BY_HAND, Kept, Row, Sieve, place_of, row_of
from tunesmith.authoring.stop import Stop
from tunesmith.errors import UserError


@dataclass(frozen=True, slots=True)
class Estimate:
    """What asking will take, about."""

    documents: int
    chunks: int
    questions: int
    prompt_tokens: int
    completion_tokens: int

    def money(self, options: MakeOptions) -> float:
        return (self.prompt_tokens * options.price_in + self.completion_tokens * options.price_out) / 1e6


def plan(
    found: Found,
    sources: Sequence[Path],
    journal: Journal,
    options: MakeOptions,
    prompts: Prompts,
    model: str,
    count: Count,
    note: Callable[[str], None],
    say: Callable[[str], None] = lambda text: None,
) -> int:
    """Cut the documents, and write the chunks with what is asked about each to the journal.

    Returns how many documents could be read. What can't be read is noted, and the rest goes on. say: told after each
    chunk how far it is. UserError where nothing could be read.
    """
    for what in found.skipped:
        note(f"left out: {what}")
    read = 0
    with journal.planning():
        for path in found.documents:
            try:
                reading = open_document(path)
                chunks = cut(reading, size=options.chunk_tokens, overlap=options.overlap, count=count)
                chunks = _told(chunks, path, say)
                journal.add(shown_path(path, sources), lambda reading=reading: reading.title, chunks)  # type: ignore[misc]
            except UserError as error:
                note(f"left out: {error}")
                continue
            read += 1
            for told in reading.notes:
                note(told if path.name in told else f"{path}: {told}")
        if not journal.chunks():
            raise UserError("None of the documents could be read.", hint="The notes above say why.")
        for each in questions(journal, options, prompts):
            journal.plan(each.source, each.planned(model))
            say(f"planning: chunk {each.source.number + 1:,}")
    return read


def _told(chunks: Iterable[Chunk], path: Path, say: Callable[[str], None]) -> Iterator[Chunk]:
    for number, chunk in enumerate(chunks, 1):
        say(f"reading {path.name}: chunk {number:,}")
        yield chunk


def failed_chunks(journal: Journal) -> Iterator[Row]:
    """The chunks that were asked about in vain, each with its place and the reason."""
    for source, planned in journal.planned():
        answer = journal.answer(planned.question)
        if answer is not None and answer.state == "failed":
            yield {"reason": answer.reason, "kind": "failed", "key": planned.question[:16], **place_of(source)}


def estimate(
    journal: Journal, documents: int, options: MakeOptions, prompts: Prompts, model: str, decisions: Decisions
) -> Estimate:
    """What is still to be asked. Answers that a judge reads and that have not come count with about their length."""
    asked = chunks = prompt = completion = 0
    for source, planned in journal.planned():
        chunks += 1
        if _settled(journal, planned.question, options):
            continue
        asked += 1
        rows = len(planned.styles)
        prompt += planned.prompt_tokens
        completion += rows * TOKENS_PER_ENTRY
        if options.judge:
            prompt += rows * (source.chunk.tokens + TOKENS_PER_ENTRY + 250)
            completion += rows * COMPLETION_TOKENS
    for _, question in to_judge(journal, options, prompts, model, decisions) if options.judge else ():
        if not _settled(journal, question.id(model), options):
            prompt += question.prompt_tokens
            completion += COMPLETION_TOKENS
    return Estimate(documents, chunks, asked, prompt, completion)


def _settled(journal: Journal, question: str, options: MakeOptions) -> bool:
    """Whether the job will not ask it again."""
    answer = journal.answer(question)
    return answer is not None and not (options.retry_failed and answer.state == "failed")


def to_judge(
    journal: Journal, options: MakeOptions, prompts: Prompts, model: str, decisions: Decisions
) -> Iterator[tuple[Candidate, Question]]:
    """The rows that pass the cheap checks and that nobody decided on, with the question for a verdict on each."""
    sieve = Sieve(options, model, lambda row: None, decisions)
    for kept in sieve.checked(candidates(journal)):
        if not kept.by_hand:
            yield kept.candidate, verdict_on(kept.candidate, prompts)


async def ask_chunks(
    journal: Journal, options: MakeOptions, prompts: Prompts, model: Model, stop: Stop, report: Callable[[Tally], None]
) -> Tally:
    """Ask about every chunk that has no answer yet."""
    asked = (each.question for each in questions(journal, options, prompts))
    return await _asking(asked, journal, options, model, stop, report)


async def ask_judge(
    journal: Journal,
    options: MakeOptions,
    prompts: Prompts,
    model: Model,
    decisions: Decisions,
    stop: Stop,
    report: Callable[[Tally], None],
) -> Tally:
    """Ask for a verdict on every row that a judge has to see."""

    def asked() -> Iterator[Question]:
        for candidate, question in to_judge(journal, options, prompts, model.name, decisions):
            journal.judged_by(row_judged(candidate), question.id(model.name))
            yield question

    return await _asking(asked(), journal, options, model, stop, report)


async def _asking(asked: Any, journal: Journal, options: MakeOptions, model: Model, stop: Stop, report: Any) -> Tally:
    return await ask_all(
        asked,
        model,
        journal,
        concurrency=options.concurrency,
        stop=stop,
        retry_failed=options.retry_failed,
        report=report,
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A row to be looked at. kind, reason: why it is held back; kind is empty where it is not."""

    key: str
    row: Row
    kind: str = ""
    reason: str = ""
    by_hand: bool = False


def _held_back(row: Row) -> Shown:
    rest = {name: value for name, value in row.items() if name not in ("key", "kind", "reason")}
    return Shown(row["key"], rest, row["kind"], row["reason"], by_hand=row["kind"] == BY_HAND)


class Rows:
    """The rows that the journal's answers make. Each way through them reads the journal anew: nothing is held."""

    def __init__(self, journal: Journal, options: MakeOptions, model: str, decisions: Decisions) -> None:
        self._journal, self._options, self._model, self._decisions = journal, options, model, decisions
        self.documents: Counter[str] = Counter()
        self.chunks: Counter[str] = Counter()

    def count(self, rejected: Callable[[Row], None]) -> Counter[str]:
        """Look at all: how many there are of each document and chunk. rejected gets every row that is none.

        Returns how many were rejected, by kind of reason.
        """
        sieve = Sieve(self._options, self._model, rejected, self._decisions)
        for kept, _ in self._approved(sieve):
            self.documents[kept.candidate.source.path.as_posix()] += 1
            self.chunks[str(kept.candidate.source.number)] += 1
        return sieve.counts

    @property
    def total(self) -> int:
        return sum(self.documents.values())

    @property
    def by_chunk(self) -> bool:
        """Whether there is only one document, so that a split has to go between its chunks."""
        return len(self.documents) < 2

    def apart(self) -> set[str]:
        """The groups that are kept for validation."""
        if not self._options.val_size:
            return set()
        sizes = self.chunks if self.by_chunk else self.documents
        return validation_groups(sizes, self._options.val_size, self._options.seed)

    def of(self, apart: set[str], *, validation: bool) -> Iterator[Row]:
        """The rows of one side of the split."""
        sieve = Sieve(self._options, self._model, lambda row: None, self._decisions)
        for kept, verdict in self._approved(sieve):
            source = kept.candidate.source
            group = str(source.number) if self.by_chunk else source.path.as_posix()
            if (group in apart) == validation:
                yield row_of(kept.candidate, kept.found, self._options, self._model, verdict)

    def all(self) -> Iterator[Shown]:
        """Everything that was answered, in the order of the documents, what is held back with its reason."""
        held: list[Row] = []
        sieve = Sieve(self._options, self._model, held.append, self._decisions)
        for kept, verdict in self._approved(sieve):
            yield from map(_held_back, held)
            held.clear()
            row = row_of(kept.candidate, kept.found, self._options, self._model, verdict)
            yield Shown(kept.candidate.key, row, by_hand=kept.by_hand)
        yield from map(_held_back, held)

    def _approved(self, sieve: Sieve) -> Iterator[tuple[Kept, Any]]:
        for kept in sieve.checked(candidates(self._journal)):
            if not self._options.judge:
                yield kept, None
                continue
            verdict = self._journal.verdict(row_judged(kept.candidate))
            if sieve.approved(kept, verdict):
                yield kept, verdict
