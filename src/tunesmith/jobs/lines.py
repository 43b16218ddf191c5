"""A process that answers questions in JSON lines: on stdin `{"id": 1, "do": "name", …}`, on stdout `{"id": 1, …}`.

An answer may come in parts; its last line has `end`, or `error` with message, hint and field. `{"do": "stop"}` asks to
leave off the answer that is being given (with its `id`) or all that wait. The end of stdin ends the process. What
libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from tunesmith.errors import UserError
from tunesmith.jobs.ending import is_out_of_memory

Question = Mapping[str, Any]
Operation = Callable[[Question, threading.Event], Iterator[dict[str, Any]]]
"""Takes the question and an event that is set when the rest is not wanted; gives the parts of the answer."""


def serve(operations: Mapping[str, Operation]) -> None:
    """Answer one question after another until stdin ends."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    desk = _Desk()
    threading.Thread(target=_listen, args=(waiting, desk), daemon=True).start()
    while (question := waiting.get()) is not None:
        number = question.get("id")
        stopped = desk.begin(number)
        try:
            operation = operations.get(str(question.get("do")))
            if operation is None:
                raise UserError(f"There is no operation {question.get('do')!r}.")
            for part in operation(question, stopped) if not stopped.is_set() else ():
                _say(out, {"id": number, **part})
            _say(out, {"id": number, "end": True, "stopped": stopped.is_set()})
        except UserError as error:
            _say(out, {"id": number, "error": {"message": error.message, "hint": error.hint, "field": error.field}})
        except Exception as error:
            told = UserError(f"{type(error).__name__}: {error}", hint=_hint(error))
            _say(out, {"id": number, "error": {"message": told.message, "hint": told.hint, "field": None}})
    # What a library still does in threads of its own must not keep the memory.
    os._exit(0)


class _Desk:
    """Which question is being answered, and which were called off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number: Any = None
        self._stopped = threading.Event()
        self._called_off: set[Any] = set()

    def begin(self, number: Any) -> threading.Event:
        with self._lock:
            self._number, self._stopped = number, threading.Event()
            if number in self._called_off:
                self._called_off.discard(number)
                self._stopped.set()
            return self._stopped

    def stop(self, number: Any) -> None:
        with self._lock:
            if number in (None, self._number):
                self._stopped.set()
            else:
                self._called_off.add(number)


def _listen(waiting: queue.SimpleQueue[dict[str, Any] | None], desk: _Desk) -> None:
    for line in sys.stdin.buffer:
        try:
            question = json.loads(line)
        except ValueError:
            continue
        if question.get("do") == "stop":
            desk.stop(question.get("id"))
        else:
            waiting.put(question)
    desk.stop(None)
    waiting.put(None)


def _say(out: BinaryIO, answer: dict[str, Any]) -> None:
    out.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def _hint(error: Exception) -> str:
    told = "The memory is not enough: take a smaller model, or quantization_bit: 4."
    return told if is_out_of_memory(error) else ""
