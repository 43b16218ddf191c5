"""Any command over a run directory: `python -m tunesmith.jobs.recorded RUN VERB …` runs `tunesmith VERB …`, keeps what
it prints in the run's log, and writes how it ended. A file `stop` in the run interrupts it as Ctrl-C would.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal

from tunesmith.errors import UserError
from tunesmith.i18n import IN_ENGLISH
from tunesmith.jobs.stages import LISTENED, heard
from tunesmith.runs.run import Run

_POLL_SECONDS = 0.3
_PATIENCE_SECONDS = 60.0
_INTERRUPTED = (130, -signal.SIGINT, 0xC000013A)  # the last is Windows' own


def run_recorded(folder: Path, arguments: list[str]) -> int:
    """Run the command to its end; its exit code."""
    run = Run.open(folder)
    run.begin_attempt()
    run.update(steps=100)
    options: dict[str, Any] = {}
    if sys.platform == "win32":
        options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
    child = subprocess.Popen(
        [sys.executable, "-m", "tunesmith", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **IN_ENGLISH, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", LISTENED: "1"},
        **options,
    )
    words: deque[str] = deque(maxlen=40)
    assert child.stdout is not None
    listener = threading.Thread(target=_listen, args=(child.stdout, run, words), daemon=True)
    listener.start()
    asked_at: float | None = None
    while child.poll() is None:
        time.sleep(_POLL_SECONDS)
        with suppress(UserError):  # the disk may be full for a while
            run.update()  # a heartbeat
        if asked_at is None and run.stop_asked():
            asked_at = time.monotonic()
            _interrupt(child)
        elif asked_at is not None and time.monotonic() - asked_at > _PATIENCE_SECONDS:
            child.kill()
    listener.join(timeout=5)
    if child.returncode == 0:
        run.update(step=100, stage="")
    status, error = _ending(child.returncode, words, asked=asked_at is not None)
    run.finish(status, error)
    return child.returncode


def _listen(stream: IO[bytes], run: Run, words: deque[str]) -> None:
    """Keep the lines; those of its stages are the progress. What can't be written is left: else the command would wait
    for its reader."""
    for line in stream:
        text = line.decode("utf-8", "replace").rstrip()
        stage = heard(text)
        with suppress(UserError):
            if stage is not None:
                text, share, what = stage
                run.update(step=min(99, max(run.state.step, int(100 * share))), stage=what)
            if stage is not None and not text:
                continue
            words.append(text)
            run.run_log(text)


def _interrupt(child: subprocess.Popen[bytes]) -> None:
    number: int = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT)  # Windows has that instead
    with suppress(OSError):
        child.send_signal(number)


def _ending(
    code: int, words: deque[str], *, asked: bool
) -> tuple[Literal["finished", "failed", "stopped"], UserError | None]:
    if code == 0:
        return "finished", None
    if asked or code in _INTERRUPTED:
        return "stopped", None
    return "failed", last_error(list(words), f"It ended with code {code}.")


def last_error(lines: Sequence[str], otherwise: str = "It ended before it began.") -> UserError:
    """What a command said last: its error with the hint, or else `otherwise` with its last line."""
    lines = [line.strip() for line in lines if line.strip()]
    at = max((number for number, line in enumerate(lines) if line.startswith("Error: ")), default=None)
    if at is None:
        return UserError(otherwise, hint=lines[-1] if lines else "Its log says nothing.")
    hint = next((line.removeprefix("→").strip() for line in lines[at + 1 :] if line.startswith("→")), "")
    return UserError(lines[at].removeprefix("Error: "), hint=hint)


if __name__ == "__main__":
    if sys.platform != "win32":  # the end of a terminal is nothing to a job in the background
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise SystemExit(run_recorded(Path(sys.argv[1]), sys.argv[2:]))
