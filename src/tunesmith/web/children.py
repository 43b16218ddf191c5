"""Processes that hold what is heavy (models, tokenizers) for the page: asked in JSON lines, freed when not used."""

from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from tunesmith.errors import UserError
from tunesmith.i18n import IN_ENGLISH

_IDLE_SECONDS = 180.0
_KEPT_WORDS = 20
_LISTEN_SECONDS = 0.2
_LEAVE_SECONDS = 1.0

Wanted = Callable[[], bool]


class Unwanted(UserError):
    """Nobody waits for the answer any more."""


class Gone(UserError):
    """The process ended while it was asked."""


class Child:
    """One process of `python -m MODULE`. Several threads may ask at once; answers carry the number of their question.

    A question is `{"id": n, "do": name, …}`; answers are `{"id": n, …}` and end with one that has `end` or `error`.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self.used = time.monotonic()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._due: set[int] = set()  # not answered to the end, whether somebody waits for it or not
        self._words: deque[str] = deque(maxlen=_KEPT_WORDS)
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **IN_ENGLISH},
        )
        self._words_keeper = threading.Thread(target=self._keep_words, daemon=True)
        self._words_keeper.start()
        threading.Thread(target=self._hear, daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def busy(self) -> bool:
        """Whether it has not yet answered, or left off, all that it was asked."""
        return bool(self._due)

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(self._waiting)

    @property
    def idle(self) -> float:
        """Seconds since it was last asked; 0 while it answers."""
        return 0.0 if self._waiting else time.monotonic() - self.used

    def ask(self, do: str, wanted: Wanted | None = None, **arguments: Any) -> dict[str, Any]:
        """One question, one answer. wanted: asked now and then; once it says no, the question is called off."""
        answer: dict[str, Any] = {}
        for part in self.stream(do, wanted, **arguments):
            answer |= part
        if answer.get("stopped"):
            raise Unwanted("The answer was called off.")
        return answer

    def stream(self, do: str, wanted: Wanted | None = None, **arguments: Any) -> Iterator[dict[str, Any]]:
        """The parts of an answer as they come, the last one with `end`. Leaving off early asks the child to stop."""
        number = next(self._numbers)
        answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._waiting[number] = answers
        self._due.add(number)
        self.used = time.monotonic()
        ended = False
        try:
            self._say({"id": number, "do": do, **arguments})
            while not ended:
                answer = _next(answers, wanted)
                if "error" in answer:
                    ended = True
                    raise _error_of(answer["error"])
                ended = "end" in answer
                yield answer
        finally:
            self._waiting.pop(number, None)
            self.used = time.monotonic()
            if not ended and self.alive:
                self.stop(number)

    def stop(self, number: int | None = None) -> None:
        """Ask it to leave off answering: one question, or all."""
        with suppress(UserError):
            self._say({"id": number, "do": "stop"})

    def hang_up(self) -> None:
        """Have nothing more to ask: it ends by itself when it can."""
        with suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()

    def end(self, patience: float = _LEAVE_SECONDS) -> None:
        """End the process and free its memory."""
        self.hang_up()
        try:
            self._process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _say(self, question: dict[str, Any]) -> None:
        line = json.dumps(question, ensure_ascii=False).encode("utf-8") + b"\n"
        try:
            with self._lock:
                assert self._process.stdin is not None
                self._process.stdin.write(line)
                self._process.stdin.flush()
        except (OSError, ValueError):
            raise self._gone() from None

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with suppress(ValueError):
                answer = json.loads(line)
                number = answer.get("id") if isinstance(answer, dict) else None
                if isinstance(number, int) and ("end" in answer or "error" in answer):
                    self._due.discard(number)
                if isinstance(number, int) and (waiting := self._waiting.get(number)) is not None:
                    waiting.put(answer)
        self._process.wait()
        self._words_keeper.join(timeout=5)  # what it said last is in the pipe still
        gone = self._gone()
        for waiting in list(self._waiting.values()):
            waiting.put({"error": {"message": gone.message, "hint": gone.hint, "gone": True}})

    def _keep_words(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._words.append(line.decode("utf-8", "replace").rstrip())

    def _gone(self) -> Gone:
        killed = self._process.poll() in (-9, 137)
        hint = "Often the memory was not enough: choose a smaller model or quantization_bit: 4." if killed else ""
        said = next((word for word in reversed(self._words) if word.strip()), "")
        return Gone(f"The process ended while it was asked. {said}".rstrip(), hint=hint)


class Children:
    """The processes for short questions (`asked`), and those that hold a model, by their names."""

    def __init__(self) -> None:
        self._named: dict[str, Child] = {}
        self._asked: set[str] = set()
        self._lock = threading.Lock()

    def asked(self, module: str = "tunesmith.jobs.questions") -> Child:
        """The one that answers questions on data, templates and memory, or another module's; begun when needed, ended
        when idle."""
        with self._lock:
            child = self._named.get(module)
            if child is None or not child.alive:
                child = self._named[module] = Child(module)
                self._asked.add(module)
            child.used = time.monotonic()  # it is not idle from now on, though the question is still to come
            return child

    def afresh(self, module: str, wanted: Wanted) -> Child:
        """`asked`, with nothing else to answer: what somebody waits for is waited out, what nobody waits for any more
        is ended with its process. Unwanted where the answer is called off meanwhile."""
        while (child := self.named(module)) is not None and child.alive and child.busy:
            if not child.awaited:
                with self._lock:
                    if self._named.get(module) is child:
                        del self._named[module]
                child.end(patience=0)
            elif wanted():
                time.sleep(_LISTEN_SECONDS)
            else:
                raise Unwanted("The answer was called off.")
        return self.asked(module)

    def begin(self, name: str, module: str, *arguments: str) -> Child:
        with self._lock:
            child = self._named[name] = Child(module, *arguments)
        return child

    def named(self, name: str) -> Child | None:
        with self._lock:
            return self._named.get(name)

    def end(self, name: str) -> bool:
        with self._lock:
            child = self._named.pop(name, None)
        if child is not None:
            child.end()
        return child is not None

    def end_idle(self) -> None:
        with self._lock:
            there = [(name, self._named[name]) for name in self._asked if name in self._named]
            idle = [self._named.pop(name) for name, child in there if child.idle > _IDLE_SECONDS]
        for child in idle:
            child.end()

    def end_all(self) -> None:
        with self._lock:
            children = list(self._named.values())
            self._named.clear()
        for child in children:
            child.hang_up()
        deadline = time.monotonic() + _LEAVE_SECONDS
        for child in children:
            child.end(max(0.0, deadline - time.monotonic()))


def _next(answers: queue.SimpleQueue[dict[str, Any]], wanted: Wanted | None) -> dict[str, Any]:
    while wanted is not None:
        with suppress(queue.Empty):
            return answers.get(timeout=_LISTEN_SECONDS)
        if not wanted():
            raise Unwanted("The answer was called off.")
    return answers.get()


def _error_of(told: dict[str, Any]) -> UserError:
    kind = Gone if told.get("gone") else UserError
    return kind(told.get("message", "It failed."), hint=told.get("hint", ""), field=told.get("field"))
