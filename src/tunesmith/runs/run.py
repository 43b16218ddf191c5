"""A run as its own process sees it: the one writer of the run directory."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.errors import UserError
from tunesmith.runs import environment
from tunesmith.runs.files import append_line, overwrite_json, read_json, replace_json, replace_text, told_plainly
from tunesmith.runs.further import way_further
from tunesmith.runs.layout import RunLayout
from tunesmith.runs.previous import let_go, put_back, set_aside
from tunesmith.runs.progress import trainer_log_line
from tunesmith.runs.state import Ended, RunState, process_lives, state_from, this_process

_PROGRESS_SECONDS = 1.0


class Run:
    """Records what a run does. Everything that can't be written raises UserError naming the path and the remedy.

    Several threads of the run's process may share one.
    """

    def __init__(self, layout: RunLayout, state: RunState) -> None:
        self.layout = layout
        self.state = state
        self._first_step = state.step
        self._finished = state if state.status == "finished" else None
        self._written = 0.0
        self._lock = threading.RLock()

    @classmethod
    def create(
        cls,
        path: Path,
        asked: Mapping[str, Any] | str,
        resolved: Mapping[str, Any] | str,
        *,
        overwrite: bool = False,
        kind: str = "train",
    ) -> Run:
        """Start the directory of a new run, with status queued.

        asked, resolved: flat configuration, as YAML text or as a mapping. A directory in use is refused; with
        `overwrite`, or when it left nothing trained, an ended run is replaced, and no file of anyone else. It is kept
        until the new run has trained a step, and put back if that fails before. A queued run that never began and
        holds the same resolved configuration is taken over: that is how a launcher hands it to its process.
        """
        layout = RunLayout(path)
        resolved_text = resolved if isinstance(resolved, str) else flat_yaml(resolved)
        with told_plainly(path):
            path.mkdir(parents=True, exist_ok=True)
            if _waits_for_us(layout, resolved_text):
                return cls.open(path)
            if not process_lives(state_from(read_json(layout.state) or {})):
                put_back(layout)  # a start that was killed
            if layout.own_files() and not layout.only_launched():
                _refuse_in_use(layout, overwrite)
                set_aside(layout)
            state = RunState(kind=kind, created=time.time(), heartbeat=time.time())
            with layout.state.open("x", encoding="utf-8") as file:  # the claim: of two processes one gets it
                file.write(json.dumps(state.as_dict()))
            layout.logs.mkdir(exist_ok=True)
        run = cls(layout, state)
        try:
            replace_text(layout.asked, asked if isinstance(asked, str) else flat_yaml(asked))
            replace_text(layout.resolved, resolved_text)
            replace_json(layout.environment, environment.collect())
            run._write_state()
        except BaseException as error:  # Ctrl-C too
            with suppress(UserError, OSError):
                run.finish("failed" if isinstance(error, Exception) else "stopped", error)
            raise
        return run

    @staticmethod
    def refuse_if_used(path: Path, *, overwrite: bool) -> None:
        """UserError, as `create` would raise it, where the directory can't become a new run's."""
        layout = RunLayout(path)
        with told_plainly(path):
            existing = next(place for place in (path, *path.absolute().parents) if place.exists())
            if not existing.is_dir():
                number = errno.EEXIST if existing == path else errno.ENOTDIR
                raise OSError(number, os.strerror(number))
            tempfile.TemporaryFile(dir=existing).close()
            if layout.own_files():
                _refuse_in_use(layout, overwrite)

    @staticmethod
    def refuse_if_at_work(path: Path) -> None:
        """UserError where another process trains in the directory."""
        layout = RunLayout(path)
        state = state_from(read_json(layout.state) or {})
        if process_lives(state) and state.pid != os.getpid():
            raise _in_use_by_live_run(layout, state)

    @classmethod
    def open(cls, path: Path) -> Run:
        """An existing run, to resume it or to add to its records."""
        layout = RunLayout(path)
        record = read_json(layout.state)
        if record is None:
            raise UserError(
                f"{path} is not a run directory: it holds no readable {layout.state.name}.",
                hint="Give the output_dir of a run; `tunesmith runs list` shows them.",
            )
        return cls(layout, state_from(record))

    @property
    def path(self) -> Path:
        return self.layout.root

    def claim(self) -> None:
        """Name this process as the one that prepares a queued run: should it die before it begins, readers see it."""
        if self.state.status == "queued":
            self.update(**this_process())

    def begin_attempt(self, *, from_step: int = 0) -> int:
        """Mark this process as the one that works on the run; returns the attempt's number, from 1.

        from_step: the optimizer step it continues after. Refused while another process is at work.
        """
        self.refuse_if_at_work(self.path)
        on_disk = state_from(read_json(self.layout.state) or {})
        attempt = 1 + max(on_disk.attempt, self.layout.last_attempt())
        log = self.layout.attempt_log(attempt)
        with told_plainly(log):
            self.layout.logs.mkdir(exist_ok=True)
            log.open("x", encoding="utf-8").close()  # of two processes that begin at once, one gets it
            if on_disk.status != "queued":  # of a queued run it was asked while this process prepared
                self.layout.stop.unlink(missing_ok=True)
        self._first_step = from_step
        now = time.time()
        fresh: dict[str, Any] = {"status": "running", "attempt": attempt, "started": now, "ended": None, "error": None}
        self.state = replace(on_disk, **fresh, heartbeat=now, step=from_step, stage="", **this_process())
        self._write_state()
        self.event("started" if from_step == 0 else "resumed", step=from_step, attempt=attempt)
        return attempt

    def update(self, **fields: Any) -> None:
        """Change fields of the state. Progress (step, epoch, stage) reaches the disk at most once a second."""
        with self._lock:
            before = self.state
            self.state = replace(before, **fields, heartbeat=time.time())
            if self.state.step > before.step == self._first_step:
                let_go(self.layout)
            only_progress = set(fields) <= {"step", "epoch", "stage"}
            if not only_progress:
                self._write_state()
            elif time.monotonic() - self._written >= _PROGRESS_SECONDS:
                self._write_state(durable=False)

    def metric(self, step: int, **values: Any) -> None:
        """Record one report: a line in metrics.jsonl and its translation in trainer_log.jsonl.

        Usual names: loss, eval_loss, learning_rate, grad_norm, epoch, tokens (trained so far, all attempts),
        tokens_per_second. Numbers may be tensor scalars; NaN and infinity are written as null.
        """
        append_line(
            self.layout.metrics, {"step": step, "attempt": self.state.attempt, "time": round(time.time(), 3), **values}
        )
        elapsed = time.time() - (self.state.started or self.state.created)
        line = trainer_log_line(step, self.state.steps, values, elapsed, self._first_step)
        append_line(self.layout.trainer_log, line)

    def event(self, kind: str, **facts: Any) -> None:
        """Record something that happened: started, resumed, checkpoint, evaluated, warning, stopped, failed …"""
        append_line(self.layout.events, {"time": round(time.time(), 3), "kind": kind, **facts})

    def sample(self, **sample: Any) -> None:
        """Record a rendered training example with its mask, or a generation."""
        append_line(self.layout.samples, {"time": round(time.time(), 3), **sample})

    def refused(self, **row: Any) -> None:
        """Record a data row that could not be used: file, line, reason."""
        append_line(self.layout.refused, row)

    def run_log(self, text: str) -> None:
        """Append a line to the log of this attempt."""
        path = self.layout.attempt_log(max(self.state.attempt, 1))
        with told_plainly(path), path.open("a", encoding="utf-8", newline="\n", buffering=1) as file:
            file.write(text.rstrip("\n") + "\n")

    def add_environment(self, **facts: Any) -> None:
        """Add what only the running process knows to env.json: device, hashes of model and data."""
        replace_json(self.layout.environment, {**(read_json(self.layout.environment) or {}), **facts})

    def stop_asked(self) -> bool:
        """Whether someone asked the run to save and end."""
        return self.layout.stop.exists()

    def finish(self, status: Ended, error: BaseException | None = None) -> None:
        """Close the attempt. A UserError's message and hint are kept apart; of other errors the type is named.

        A run that ends before its first step leaves the run that it would have replaced as it was, and one that had
        finished before it was to go on stays finished.
        """
        with self._lock:
            self._finish(status, _tell(error) if error is not None else None)

    def _finish(self, status: Ended, told: dict[str, str] | None) -> None:
        if status != "finished" and self.state.step == self._first_step and self._previous_is_back(status, told):
            return
        if status != "finished" and self.state.step == self._first_step and self._finished is not None:
            self.state = replace(self._finished, attempt=self.state.attempt)
            self._write_state()
            self.event("warning", message=f"An attempt to train further {status}.", cause=(told or {}).get("message"))
            self.layout.stop.unlink(missing_ok=True)
            return
        let_go(self.layout)
        self.state = replace(self.state, status=status, ended=time.time(), heartbeat=time.time(), error=told)
        try:
            self._write_state()
        except UserError:  # a full disk has no room for a second file, but this one can still be changed
            overwrite_json(self.layout.state, self.state.as_dict())
        with suppress(UserError):  # the end is already on disk
            self.event(status, step=self.state.step, **(told or {}))
            self.layout.stop.unlink(missing_ok=True)

    def _previous_is_back(self, status: str, told: Mapping[str, str] | None) -> bool:
        """Whether there was a run to put back in place of this one, which leaves a word in its events."""
        with suppress(OSError, UserError):  # if it can't be put back now, the next start tries again
            if put_back(self.layout):
                self.event(
                    "warning",
                    message=f"A run that was to replace this one {status}.",
                    cause=(told or {}).get("message"),
                )
                return True
        return False

    def _write_state(self, *, durable: bool = True) -> None:
        replace_json(self.layout.state, self.state.as_dict(), durable=durable)
        self._written = time.monotonic()


def flat_yaml(config: Mapping[str, Any]) -> str:
    """A flat configuration as YAML, one key per line (JSON values are YAML values); secrets are left out."""
    known = {key: value for key, value in config.items() if not environment.is_secret(key)}
    return "".join(f"{key}: {_yaml_value(value)}\n" for key, value in known.items())


def _yaml_value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    # YAML 1.1 reads 1e-05 as a word; a number needs its dot.
    return re.sub(r"^(-?\d+)e", r"\1.0e", text) if isinstance(value, float) else text


def _tell(error: BaseException) -> dict[str, str]:
    if isinstance(error, UserError):
        known = {"field": error.field, "code": error.code}
        return {"message": error.message, "hint": error.hint, **{key: word for key, word in known.items() if word}}
    return {"message": f"{type(error).__name__}: {error}", "hint": ""}


def _waits_for_us(layout: RunLayout, resolved: str) -> bool:
    record = read_json(layout.state)
    if record is None:
        return False
    state = state_from(record)
    if state.status != "queued" or state.attempt or (process_lives(state) and state.pid != os.getpid()):
        return False
    try:
        return layout.resolved.read_text(encoding="utf-8") == resolved
    except OSError:
        return False


def _refuse_in_use(layout: RunLayout, overwrite: bool) -> None:
    """UserError with the ways out, unless what the directory holds may be replaced."""
    names = ", ".join(path.name for path in layout.own_files()[:4])
    record = read_json(layout.state)
    if record is None:
        raise UserError(
            f"The directory {layout.root} is already in use, and not by a run of Tunesmith (it holds {names}).",
            hint="Choose another output_dir; overwrite_output_dir only clears what Tunesmith wrote.",
            field="output_dir",
            code="in_use",
        )
    state = state_from(record)
    if process_lives(state):
        raise _in_use_by_live_run(layout, state)
    waits = state.status == "queued" and state.pid is None  # for a process that is about to be started
    began_in_vain = not waits and state.status != "finished" and not layout.holds_weights()
    if not (overwrite or began_in_vain):
        hint = "Choose another output_dir, or start afresh over it with overwrite_output_dir: true."
        if state.status == "finished":
            hint = f"{way_further(layout, state.step)} {hint}".strip()
        elif layout.checkpoints():
            hint = f"Continue it with resume_from_checkpoint: true. {hint}"
        raise UserError(
            f"The directory {layout.root} already holds a run ({state.status}, step {state.step}).",
            hint=hint,
            field="output_dir",
            code="in_use",
        )


def _in_use_by_live_run(layout: RunLayout, state: RunState) -> UserError:
    return UserError(
        f"A run is at work in {layout.root} (process {state.pid} on {state.host}, step {state.step}).",
        hint=f"Choose another output_dir, or stop it first: tunesmith runs stop {layout.root}",
        field="output_dir",
        code="in_use",
    )
