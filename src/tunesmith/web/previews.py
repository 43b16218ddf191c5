"""Dry runs of commands, for the page to show what would come: one after the other, each ended once nobody waits."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from tunesmith.errors import UserError
from tunesmith.i18n import IN_ENGLISH
from tunesmith.web.children import Unwanted, Wanted

_SECONDS = 600
_LISTEN_SECONDS = 0.2


class Previews:
    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def run(self, command: Sequence[str], wanted: Wanted) -> subprocess.CompletedProcess[str]:
        """`tunesmith COMMAND` to its end. Unwanted where the page left or asked for another, UserError where it takes
        too long."""
        while not self._turn.acquire(timeout=_LISTEN_SECONDS):
            if not wanted():
                raise Unwanted("The answer was called off.")
        try:
            return self._run(command, wanted)
        finally:
            self._process = None
            self._turn.release()

    def _run(self, command: Sequence[str], wanted: Wanted) -> subprocess.CompletedProcess[str]:
        process = self._process = subprocess.Popen(
            [sys.executable, "-m", "tunesmith", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
            errors="replace", env={**os.environ, **IN_ENGLISH, "NO_COLOR": "1", "COLUMNS": "160"},
        )  # fmt: skip
        deadline = time.monotonic() + _SECONDS
        try:
            while wanted():
                with suppress(subprocess.TimeoutExpired):
                    out, err = process.communicate(timeout=_LISTEN_SECONDS)
                    return subprocess.CompletedProcess(list(command), process.returncode, out, err)
                if time.monotonic() > deadline:
                    raise UserError("The preview took too long.", hint="Start it: the job shows its progress.")
            raise Unwanted("The answer was called off.")
        finally:
            if process.returncode is None:
                process.kill()
                process.communicate()

    def end(self) -> None:
        process = self._process
        if process is not None:
            process.kill()
