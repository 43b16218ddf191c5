"""Dry runs of commands, for the page to show what would come: of each command one at a time, as the last one counts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence

from tunesmith.errors import UserError
from tunesmith.i18n import IN_ENGLISH
from tunesmith.web.workspace import Clash

_SECONDS = 600


class Previews:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """`tunesmith COMMAND` to its end. Clash where a later one of that command took its place, UserError where it
        takes too long."""
        kind = command[0]
        process = subprocess.Popen(
            [sys.executable, "-m", "tunesmith", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
            errors="replace", env={**os.environ, **IN_ENGLISH, "NO_COLOR": "1", "COLUMNS": "160"},
        )  # fmt: skip
        with self._lock:
            before, self._processes[kind] = self._processes.get(kind), process
        if before is not None:
            before.kill()
        try:
            out, err = process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise UserError("The preview took too long.", hint="Start it: the job shows its progress.") from None
        with self._lock:
            overtaken = self._processes.get(kind) is not process
            if not overtaken:
                del self._processes[kind]
        if overtaken:
            raise Clash("Another preview took its place.")
        return subprocess.CompletedProcess(list(command), process.returncode, out, err)

    def end(self) -> None:
        with self._lock:
            for process in self._processes.values():
                process.kill()
