"""Many questions to one model: so many at once, each answer journaled as it arrives, none asked twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tunesmith.authoring.chunk import estimate_tokens
from tunesmith.authoring.journal import Answer, Journal, question_id
from tunesmith.authoring.model import AskFailed, Messages, Model, Reply
from tunesmith.authoring.stop import Stop, Stopped
from tunesmith.authoring.structured import BadAnswer, Declined
from tunesmith.errors import UserError

_REASKED = 2
_CUT = "it was cut off before its end: it runs on and on, or --max-tokens leaves too little room"
_UNREACHED = 10
"""So many questions in a row without any answer, for no reason of their own, mean that the server is gone."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question. read: makes a JSON value of a reply, or raises BadAnswer saying what is wrong with it.

    settings: what decides the answer beside the messages, for telling questions apart. most: see `Model.ask`.
    """

    kind: str
    messages: Messages
    schema: Mapping[str, Any]
    read: Callable[[Reply], Any] = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    most: int = 0

    def id(self, model: str) -> str:
        return question_id(model, self.messages, self.schema, self.settings)

    @property
    def prompt_tokens(self) -> int:
        """About how long it is."""
        return sum(estimate_tokens(message["content"]) for message in self.messages)


@dataclass(slots=True)
class Tally:
    """How the asking went. known: answered before, of them `known_failed` without success."""

    known: int = 0
    known_failed: int = 0
    answered: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        return self.known + self.answered + self.failed


async def ask_all(
    questions: Iterable[Question],
    model: Model,
    journal: Journal,
    *,
    concurrency: int,
    stop: Stop,
    retry_failed: bool = False,
    report: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    """Ask what the journal has no answer to. Questions are taken as they are needed and never held as a whole.

    A question that keeps failing is recorded with its reason, and asked again only with `retry_failed`.
    Whatever else goes wrong (UserError: the key is refused …) is raised when the answers on their way have come.
    """
    tally = Tally()
    stop.bind()
    open_questions = _open(questions, model.name, journal, retry_failed, tally)
    asker = _Asker(model, journal, open_questions, tally, report, stop)
    workers = [asyncio.create_task(asker.work()) for _ in range(concurrency)]
    leaving = asyncio.create_task(stop.at_once())
    everyone = asyncio.gather(*workers, return_exceptions=True)
    try:
        await asyncio.wait((everyone, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*workers, leaving):
            task.cancel()
        await asyncio.gather(*workers, leaving, return_exceptions=True)
        open_questions.close()
    if not tally.answered and not tally.failed:
        report(tally)
    if stop.error is not None:
        raise stop.error
    return tally


def _open(
    questions: Iterable[Question], model: str, journal: Journal, retry_failed: bool, tally: Tally
) -> Generator[tuple[str, Question]]:
    seen: set[str] = set()
    for question in questions:
        known = question.id(model)
        answer = journal.answer(known)
        if known in seen or (answer is not None and not (retry_failed and answer.state == "failed")):
            tally.known += 1
            tally.known_failed += answer is not None and answer.state == "failed"
            continue
        seen.add(known)
        yield known, question


class _Asker:
    """What the workers share."""

    def __init__(
        self,
        model: Model,
        journal: Journal,
        questions: Iterator[tuple[str, Question]],
        tally: Tally,
        report: Callable[[Tally], None],
        stop: Stop,
    ) -> None:
        self._model, self._journal, self._questions = model, journal, questions
        self._tally, self._report, self._stop = tally, report, stop
        self._in_a_row = 0

    async def work(self) -> None:
        try:
            while not self._stop.ending and (taken := next(self._questions, None)) is not None:
                await self._settle(*taken)
                self._report(self._tally)
        except Stopped:
            return
        except Exception as error:
            self._stop.fail(error)

    async def _settle(self, known: str, question: Question) -> None:
        try:
            value, reply = await self._answered(known, question)
        except AskFailed as failed:
            self._fail(known, question, failed.reason)
            self._count_unreached(failed)
        except Declined as declined:
            self._fail(known, question, declined.reason)
        except BadAnswer as bad:
            self._fail(known, question, f"no usable answer in {1 + _REASKED} attempts: {bad.reason}")
        else:
            self._in_a_row = 0
            self._journal.record(known, question.kind, Answer("answered", value), reply)
            self._tally.answered += 1

    def _fail(self, known: str, question: Question, reason: str) -> None:
        self._journal.record(known, question.kind, Answer("failed", None, reason))
        self._tally.failed += 1

    async def _answered(self, known: str, question: Question) -> tuple[Any, Reply]:
        """A usable answer; a model whose answer can't be read is told so and asked again. BadAnswer for the last, and
        at once where the model declines."""
        messages, reason = list(question.messages), ""
        for _ in range(1 + _REASKED):
            reply = await self._model.ask(messages, question.schema, question.most)
            try:
                return question.read(reply), reply
            except Declined:
                self._in_a_row = 0
                self._journal.called(known, reply)
                raise
            except BadAnswer as bad:
                reason = bad.reason
            except Exception as error:  # a reader that stumbles over one answer must not cost all the others
                reason = f"it can't be read ({type(error).__name__})"
            self._in_a_row = 0
            self._journal.called(known, reply)
            if reply.cut:
                reason = _CUT
            messages = [
                *question.messages,
                {"role": "assistant", "content": reply.text[:2000]},
                {"role": "user", "content": f"That answer can't be used: {reason}. Give only the JSON asked for."},
            ]
        raise BadAnswer(reason)

    def _count_unreached(self, failed: AskFailed) -> None:
        self._in_a_row = 0 if failed.alone else self._in_a_row + 1
        if self._in_a_row >= _UNREACHED and not self._tally.answered:
            raise UserError(
                f"{self._in_a_row} questions in a row got no answer: {failed.reason}.",
                hint="Is the server running, and is the base URL right? The same command goes on where this one ended.",
            )
