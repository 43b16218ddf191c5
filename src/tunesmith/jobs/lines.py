"""A process that answers questions in JSON lines: on stdin `{"id": 1, "do": "name", …}`, on stdout `{"id": 1, …}`.

An answer may come in parts; its last line has `end`, or `error` with message, hint and field. `{"do": "stop"}` asks to
leave off one answer (by its `id`), or all that are due. The end of stdin ends the process. What libraries print goes
to stderr.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, TypeVar

from tunesmith.errors import UserError
from tunesmith.jobs.ending import is_out_of_memory

T = TypeVar("T")
Question = Mapping[str, Any]
Operation = Callable[[Question, threading.Event], Iterator[dict[str, Any]]]
"""Takes the question and an event that is set when the rest is not wanted; gives the parts of the answer."""


class CalledOff(Exception):
    """The rest of an answer is not wanted any more."""


def go_on(stopped: threading.Event) -> None:
    """CalledOff where the answer was: an operation that takes long asks between two rows or batches."""
    if stopped.is_set():
        raise CalledOff


def while_wanted(rows: Iterable[T], stopped: threading.Event) -> Iterator[T]:
    """The rows for as long as somebody wants them, also while those before the first one are passed over."""
    for row in rows:
        go_on(stopped)
        yield row


def serve(operations: Mapping[str, Operation]) -> None:
    """Answer one question after another until stdin ends."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    desk = _Desk()
    threading.Thread(target=_listen, args=(waiting, desk), daemon=True).start()
    while (question := waiting.get()) is not None:
        number = question.get("id")
        stopped = desk.event(number)
        try:
            operation = operations.get(str(question.get("do")))
            if operation is None:
                raise UserError(f"There is no operation {question.get('do')!r}.")
            with suppress(CalledOff):
                for part in operation(question, stopped) if not stopped.is_set() else ():
                    _say(out, {"id": number, **part})
            _say(out, {"id": number, "end": True, "stopped": stopped.is_set()})
        except UserError as error:
            _say(out, {"id": number, "error": {"message": error.message, "hint": error.hint, "field": error.field}})
        except Exception as error:
            told = UserError(f"{type(error).__name__}: {error}", hint=_hint(error))
            _say(out, {"id": number, "error": {"message": told.message, "hint": told.hint, "field": None}})
        finally:
            desk.done(number)
    # What a library still does in threads of its own must not keep the memory.
    os._exit(0)


class _Desk:
    """The questions that are not answered yet, each with the event that calls it off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[Any, threading.Event] = {}

    def take(self, number: Any) -> None:
        with self._lock:
            self._due[number] = threading.Event()

    def event(self, number: Any) -> threading.Event:
        with self._lock:
            return self._due[number]

    def done(self, number: Any) -> None:
        with self._lock:
            del self._due[number]

    def stop(self, number: Any) -> None:
        """Call off one question, or all; one that was answered meanwhile is left alone."""
        with self._lock:
            for due, stopped in self._due.items():
                if number in (None, due):
                    stopped.set()


def _listen(waiting: queue.SimpleQueue[dict[str, Any] | None], desk: _Desk) -> None:
    for line in sys.stdin.buffer:
        try:
            question = json.loads(line)
        except ValueError:
            continue
        if question.get("do") == "stop":
            desk.stop(question.get("id"))
        else:
            desk.take(question.get("id"))
            waiting.put(question)
    desk.stop(None)
    waiting.put(None)


def _say(out: BinaryIO, answer: dict[str, Any]) -> None:
    out.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def _hint(error: Exception) -> str:
    told = "The memory is not enough: take a smaller model, or quantization_bit: 4."
    return told if is_out_of_memory(error) else ""
