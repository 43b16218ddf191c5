"""What a job of asking has planned and received: one SQLite file in its run directory, written as answers arrive.

A question is known by the hash of everything that decides its answer, so a job that was killed goes on where it
stopped, and one whose prompt, model or documents were changed asks only what is new.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tunesmith.authoring.chunk import Chunk
from tunesmith.authoring.model import Messages, Reply, without_halves
from tunesmith.authoring.prompting import Language
from tunesmith.errors import UserError

_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS documents (number INTEGER PRIMARY KEY, path TEXT, title TEXT);
CREATE TABLE IF NOT EXISTS chunks (
    number INTEGER PRIMARY KEY, document INTEGER, start INTEGER, "end" INTEGER, tokens INTEGER, page INTEGER,
    heading TEXT, before TEXT, sections TEXT, text TEXT);
CREATE TABLE IF NOT EXISTS plan (
    chunk INTEGER PRIMARY KEY, question TEXT, language TEXT, styles TEXT, prompt TEXT, tokens INTEGER, made REAL);
CREATE TABLE IF NOT EXISTS verdicts ("row" TEXT, question TEXT, PRIMARY KEY ("row", question)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    question TEXT PRIMARY KEY, kind TEXT, state TEXT, answer TEXT, reason TEXT, finished REAL);
CREATE TABLE IF NOT EXISTS calls (
    question TEXT, finished REAL, prompt_tokens INTEGER, completion_tokens INTEGER);
"""

# A verdict's row begins with the first characters of the question that the row answers.
_OF_THE_PLAN = (
    "(question IN (SELECT question FROM plan) OR NOT EXISTS (SELECT * FROM plan) OR question IN "
    '(SELECT question FROM verdicts WHERE substr("row", 1, 16) IN (SELECT substr(question, 1, 16) FROM plan)))'
)
_PAGE = 64
"""Chunks that are read at once. A statement left open while answers are written would keep the log of writes growing.
"""

State = Literal["answered", "failed"]


@dataclass(frozen=True, slots=True)
class Source:
    """A chunk and the document it comes from. number: its place among all chunks of the job, from 0."""

    number: int
    path: Path
    title: str
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Planned:
    """What is asked about a chunk, as it was when the job began: prompts may be edited since, answers stay.

    question: its id. prompt: which one, in which version; prompt_tokens: how long about.
    """

    question: str
    language: Language
    styles: tuple[str, ...]
    prompt: str
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What was made of a question. value: what its reader returned; None where it failed, with the reason."""

    state: State
    value: Any
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """What the calls took, those of earlier attempts and of unusable answers too."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def with_call(self, reply: Reply) -> Spent:
        return Spent(
            self.calls + 1,
            self.prompt_tokens + reply.prompt_tokens,
            self.completion_tokens + reply.completion_tokens,
        )

    def money(self, price_in: float, price_out: float) -> float:
        """Prices are for a million tokens."""
        return (self.prompt_tokens * price_in + self.completion_tokens * price_out) / 1e6


def question_id(model: str, messages: Messages, schema: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """What tells one question from another."""
    told = json.dumps([model, list(messages), schema, settings], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()


class Journal:
    """Open one at a time; close it, or use it as a context. Every record is on disk when its method returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._spent: Spent | None = None
        try:
            self._base = sqlite3.connect(path, isolation_level=None)
            (version,) = self._base.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise UserError(f"{path} was written by another version of Tunesmith (journal {version}).",
                                hint="Choose another --run-dir.", field="run_dir")  # fmt: skip
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            self._base.executescript(_TABLES)
            if version != _VERSION:  # one that is there already is opened without a write: it may be at work
                self._base.execute(f"PRAGMA user_version = {_VERSION}")
        except sqlite3.Error as error:
            raise UserError(f"Can't open the journal {path}: {error}.", hint="Is the disk full?") from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._base.close()

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Within it `add` and `plan` replace the chunks of the job and what is asked about them, all or none."""
        with self._told(), _transaction(self._base):
            self._base.execute("DELETE FROM documents")
            self._base.execute("DELETE FROM chunks")
            self._base.execute("DELETE FROM plan")
            self._spent = None
            yield

    def add(self, path: Path, title: Callable[[], str], chunks: Iterable[Chunk]) -> None:
        """A document and its chunks, taken as they come; of one whose chunks raise an error nothing stays.

        title: asked for when the last chunk has come.
        """
        base = self._base
        (number,) = base.execute("SELECT count(*) FROM documents").fetchone()
        base.execute("SAVEPOINT document")
        try:
            base.executemany(
                'INSERT INTO chunks (document, start, "end", tokens, page, heading, before, sections, text) '
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (_row(number, chunk) for chunk in chunks),
            )
            base.execute("INSERT INTO documents VALUES (?, ?, ?)", (number, *map(without_halves, (str(path), title()))))
        except BaseException:
            if base.in_transaction:  # a full disk has ended it already
                base.execute("ROLLBACK TO document")
                base.execute("RELEASE document")
            raise
        base.execute("RELEASE document")

    def plan(self, source: Source, planned: Planned) -> None:
        """What is asked about a chunk."""
        self._base.execute(
            "INSERT OR REPLACE INTO plan VALUES (?, ?, ?, ?, ?, ?, ?)",
            (source.number + 1, planned.question, planned.language, _json(planned.styles), planned.prompt,
             planned.prompt_tokens, time.time()),
        )  # fmt: skip

    def planned(self) -> Iterator[tuple[Source, Planned]]:
        """The chunks in order with what is asked about them."""
        for source in self.sources():
            row = self._base.execute(
                "SELECT question, language, styles, prompt, tokens FROM plan WHERE chunk = ?", (source.number + 1,)
            ).fetchone()
            if row is not None:
                yield source, Planned(row[0], row[1], tuple(json.loads(row[2])), row[3], row[4])

    def copy(self, path: Path) -> None:
        """The same journal in another file."""
        with closing(sqlite3.connect(path)) as other:
            self._base.backup(other)

    def chunks(self) -> int:
        (count,) = self._base.execute("SELECT count(*) FROM chunks").fetchone()
        return int(count)

    def sources(self) -> Iterator[Source]:
        """The planned chunks in order."""
        last = 0
        while rows := self._base.execute(
            'SELECT c.number, d.path, d.title, c.text, c.start, c."end", c.tokens, c.heading, c.page, c.before, '
            "c.sections FROM chunks c JOIN documents d ON d.number = c.document WHERE c.number > ? "
            "ORDER BY c.number LIMIT ?",
            (last, _PAGE),
        ).fetchall():
            last = rows[-1][0]
            for number, path, title, text, start, end, tokens, heading, page, before, sections in rows:
                inner = tuple((at, tuple(names)) for at, names in json.loads(sections))
                chunk = Chunk(text, start, end, tokens, tuple(json.loads(heading)), page, before, inner)
                yield Source(number - 1, Path(path), title, chunk)

    def extent(self) -> tuple[int, int, float]:
        """(chunks, answers, time of the last answer or plan): equal as long as nothing came."""
        count, finished = self._base.execute("SELECT count(*), max(finished) FROM answers").fetchone()
        (made,) = self._base.execute("SELECT max(made) FROM plan").fetchone()
        return self.chunks(), int(count), max(finished or 0.0, made or 0.0)

    def answer(self, question: str) -> Answer | None:
        """What was made of a question, None where it is still open."""
        found = self._base.execute("SELECT state, answer, reason FROM answers WHERE question = ?", (question,))
        row = found.fetchone()
        return None if row is None else Answer(row[0], json.loads(row[1]), row[2])

    def judged_by(self, row: str, question: str) -> None:
        """The question asks for a verdict on the row."""
        with self._told():
            self._base.execute("INSERT OR IGNORE INTO verdicts VALUES (?, ?)", (row, question))

    def verdict(self, row: str) -> Any:
        """The last verdict on a row, None where it has none."""
        found = self._base.execute(
            "SELECT a.answer FROM verdicts v JOIN answers a ON a.question = v.question "
            "WHERE v.\"row\" = ? AND a.state = 'answered' ORDER BY a.finished DESC LIMIT 1",
            (row,),
        ).fetchone()
        return None if found is None else json.loads(found[0])

    def called(self, question: str, reply: Reply) -> None:
        """A reply came, of whatever worth: it is paid for."""
        with self._told():
            self._base.execute(
                "INSERT INTO calls VALUES (?, ?, ?, ?)",
                (question, time.time(), reply.prompt_tokens, reply.completion_tokens),
            )
        if self._spent is not None:
            self._spent = self._spent.with_call(reply)

    def record(self, question: str, kind: str, answer: Answer, reply: Reply | None = None) -> None:
        """The end of a question, with the reply that ended it."""
        with self._told(), _transaction(self._base):
            if reply is not None:
                self.called(question, reply)
            self._base.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                (question, kind, answer.state, _json(answer.value), without_halves(answer.reason), time.time()),
            )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong on the disk, in words."""
        try:
            yield
        except sqlite3.Error as error:
            raise UserError(
                f"Can't write the journal {self._path}: {error}.",
                hint="Is the disk full? What was written before is kept, the same command goes on.",
            ) from error

    def failures(self) -> list[str]:
        """The reasons of questions that failed, the commonest first."""
        found = self._base.execute(
            f"SELECT reason FROM answers WHERE state = 'failed' AND {_OF_THE_PLAN} "
            "GROUP BY reason ORDER BY count(*) DESC LIMIT 20"
        )
        return [reason for (reason,) in found]

    def spent(self) -> Spent:
        """What the questions of the plan took, and those for verdicts on its rows; without a plan, all."""
        if self._spent is None:
            found = self._base.execute(
                f"SELECT count(*), sum(prompt_tokens), sum(completion_tokens) FROM calls WHERE {_OF_THE_PLAN}"
            )
            self._spent = Spent(*(int(value or 0) for value in found.fetchone()))
        return self._spent


@contextmanager
def _transaction(base: sqlite3.Connection) -> Iterator[None]:
    """All or nothing of what is written inside."""
    base.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if base.in_transaction:  # a full disk has ended it already
            base.execute("ROLLBACK")
        raise
    base.execute("COMMIT")


def _row(document: int, chunk: Chunk) -> tuple[Any, ...]:
    return (
        document, chunk.start, chunk.end, chunk.tokens, chunk.page, _json(chunk.heading),
        without_halves(chunk.before), _json(chunk.sections), without_halves(chunk.text),
    )  # fmt: skip


def _json(value: Any) -> str:
    return without_halves(json.dumps(value, ensure_ascii=False))
