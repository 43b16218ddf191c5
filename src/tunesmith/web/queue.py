"""What waits to be run, and what was started: one after another on each device, in a file that outlives the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.errors import UserError
from tunesmith.jobs.launch import start_detached
from tunesmith.jobs.recorded import last_error
from tunesmith.runs.environment import is_secret
from tunesmith.runs.files import read_json, replace_json
from tunesmith.runs.layout import RunLayout, is_run
from tunesmith.runs.processes import birth, is_alive
from tunesmith.runs.read import RunReader
from tunesmith.runs.run import Run
from tunesmith.runs.state import process_lives
from tunesmith.web.devices import environment_for
from tunesmith.web.workspace import Clash

_TOLD = 4000
"""Bytes of a launch log that tell why a process ended before its run began."""


@dataclass(slots=True)
class Job:
    """run: its directory relative to the workspace. module, arguments: what is started.

    devices: those it takes for itself; none for work that needs no device and starts at once. environment: variables
    for its process; secrets: the names of those that are kept in memory alone. pid, born: its process, once it was
    started.
    """

    run: str
    module: str
    arguments: list[str]
    devices: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    pid: int | None = None
    born: str | None = None
    began: float = 0.0
    log_from: int = 0
    """Where its words begin in the launch log, which earlier processes wrote to as well."""


class Place(NamedTuple):
    """number: from 1 while it waits, None once it was started, which was at `began` (seconds since the epoch).

    missing: the names of secrets that went with an earlier server; it waits until they are given again.
    """

    number: int | None
    devices: list[str]
    began: float
    missing: tuple[str, ...] = ()


class Queue:
    """The file is the truth: it is read when the server begins and replaced at every change."""

    def __init__(self, path: Path, busy: Callable[[], Collection[str]] = tuple) -> None:
        """busy: ids of the runs that are at work, also those that nobody queued."""
        self._path = path
        self._busy = busy
        self._lock = threading.RLock()
        # What a form brought along for one process, such as tokens: never written anywhere.
        self._secrets: dict[str, dict[str, str]] = {}
        record = read_json(path) or {}
        self._waiting = [job for item in record.get("waiting", []) if (job := _job_from(item))]
        self._started = [job for item in record.get("started", []) if (job := _job_from(item))]

    def add(self, job: Job, environment: dict[str, str] | None = None) -> None:
        """Have a job wait. Clash while a process that was started for its run lives: two would write one directory.

        environment: variables for its process; of the secrets among them the file holds the names.
        """
        with self._lock:
            name = job.run
            if self.at_work(name):
                raise Clash(f"{name} is at work already.")
            self._waiting = [other for other in self._waiting if other.run != job.run]
            self._waiting.append(job)
            given = environment or {}
            self._secrets[name] = {key: value for key, value in given.items() if is_secret(key)}
            job.secrets = list(self._secrets[name])
            job.environment = {key: value for key, value in given.items() if not is_secret(key)}
            self._write()

    def give(self, run: str, secrets: Mapping[str, str]) -> bool:
        """Hand a waiting job the secrets that it lost; without those that are not given it starts as it is. False
        where it does not wait."""
        with self._lock:
            job = next((job for job in self._waiting if job.run == run), None)
            if job is None:
                return False
            held = self._secrets.setdefault(run, {})
            held |= {name: value for name, value in secrets.items() if name in job.secrets and value}
            job.secrets = list(held)
            self._write()
            return True

    def remove(self, run: str) -> bool:
        """Take a waiting job out; whether it was there."""
        with self._lock:
            before = len(self._waiting)
            self._waiting = [job for job in self._waiting if job.run != run]
            self._secrets.pop(run, None)
            if len(self._waiting) == before:
                return False
            self._write()
            return True

    def withdraw(self, run: str) -> bool:
        """Take out what waits for a run that is to be deleted; False, and nothing is done, while its process lives."""
        with self._lock:
            if self.launcher(run) is not None:
                return False
            self.remove(run)
            return True

    def order(self, runs: Sequence[str], *, seen: Sequence[str] | None = None) -> list[str] | None:
        """Put the waiting jobs in this order; those that it does not name follow as they were.

        seen: the order that was changed. None, and nothing is done, where those that still wait have another by now.
        """
        with self._lock:
            now = [job.run for job in self._waiting]
            if seen is not None and [run for run in seen if run in now] != [run for run in now if run in seen]:
                return None
            rank = {run: at for at, run in enumerate(runs)}
            self._waiting.sort(key=lambda job: rank.get(job.run, len(rank)))
            self._write()
            return [job.run for job in self._waiting]

    def waiting(self) -> list[str]:
        with self._lock:
            return [job.run for job in self._waiting]

    def place(self, run: str) -> Place | None:
        """Where it waits, or that its process lives; None for a run that has ended or was started elsewhere."""
        with self._lock:
            for number, job in enumerate(self._waiting, 1):
                if job.run == run:
                    return Place(number, job.devices, 0.0, self._missing(job))
            for job in self._started:
                if job.run == run:
                    return Place(None, job.devices, job.began)
        return None

    def holds_devices(self) -> bool:
        """Whether one of its jobs, started or waiting, takes a device."""
        with self._lock:
            return any(job.devices for job in (*self._started, *self._waiting))

    def launcher(self, run: str) -> int | None:
        """The process that was started for a run, while it lives."""
        with self._lock:
            return next((job.pid for job in self._started if job.run == run and _lives(job)), None)

    def at_work(self, run: str) -> bool:
        """Whether a process that was started for a run may still write to it: one that has told how it ended only
        leaves, and what waits for the run begins after it."""
        with self._lock:
            job = next((job for job in self._started if job.run == run and _lives(job)), None)
            return job is not None and not _has_ended(job)

    def let_go(self, run: str) -> None:
        """Its process is about to be ended by a person: how it ended is theirs to tell."""
        with self._lock:
            self._started = [job for job in self._started if job.run != run]
            self._write()

    def tick(self) -> bool:
        """Start what can start and let go of what has ended; whether anything changed."""
        with self._lock:
            ended = [job for job in self._started if not _lives(job)]
            self._started = [job for job in self._started if job not in ended]
            for job in ended:
                _tell_early_end(job)
            began = self._start_due()
            if ended or began:
                self._write()
            return bool(ended or began)

    def _start_due(self) -> bool:
        if not self._waiting:
            return False
        own = {job.run for job in self._started}
        foreign = [run for run in self._busy() if run not in own]
        taken = {device for job in self._started for device in job.devices}
        began = False
        for job in list(self._waiting):
            # Somebody else's training may hold any device, so whoever needs one waits for its end.
            if job.run in own or self._missing(job):  # the process before is leaving; a person has to come
                continue
            if job.devices and (foreign or taken & set(job.devices)):
                taken |= set(job.devices)  # nobody overtakes on the same device
                continue
            self._start(job)
            taken |= set(job.devices)
            began = True
        return began

    def _start(self, job: Job) -> None:
        if not is_run(Path(job.run)):
            self._waiting.remove(job)
            return  # the directory was deleted meanwhile
        log = RunLayout(Path(job.run)).launch_log
        job.log_from = log.stat().st_size if log.is_file() else 0
        self._note_start(job)
        environment = {**environment_for(job.devices), **job.environment, **self._secrets.pop(job.run, {})}
        try:
            job.pid = start_detached(Path(job.run), job.arguments, module=job.module, environment=environment)
        except (OSError, ValueError, UserError) as error:
            told = error if isinstance(error, UserError) else UserError(f"It could not be started: {error}")
            self._started.remove(job)
            Run.open(Path(job.run)).finish("failed", told)
            return
        job.born = birth(job.pid)
        self._write()

    def _missing(self, job: Job) -> tuple[str, ...]:
        held = self._secrets.get(job.run, {})
        return tuple(name for name in job.secrets if name not in held)

    def _note_start(self, job: Job) -> None:
        """On disk it is started before it is: a server that is killed in between must not start it a second time."""
        waiting = list(self._waiting)
        self._waiting.remove(job)
        job.began = time.time()
        self._started.append(job)
        try:
            self._write()
        except UserError:
            self._started.remove(job)
            self._waiting = waiting  # it keeps its place until the disk takes the word
            raise

    def _write(self) -> None:
        record = {
            "waiting": [asdict(job) for job in self._waiting],
            "started": [asdict(job) for job in self._started],
        }
        replace_json(self._path, record)


def _lives(job: Job) -> bool:
    return job.pid is not None and is_alive(job.pid, job.born)


def _has_ended(job: Job) -> bool:
    """Whether the run says that it ended since the job began."""
    try:
        return (RunReader(Path(job.run)).state().ended or 0.0) >= job.began
    except UserError:
        return False


def _job_from(record: Any) -> Job | None:
    """A job as the file has it; None for what no version of ours wrote."""
    if not isinstance(record, dict):
        return None
    try:
        return Job(**record)
    except TypeError:
        return None


def _tell_early_end(job: Job) -> None:
    """Where the process ended before it took up the run, the run says so: it would seem to wait for ever."""
    with suppress(UserError):
        reader = RunReader(Path(job.run))
        state = reader.state()
        if process_lives(state):
            return  # somebody else took the run up, as on the command line
        took_it_up = (state.started or 0.0) >= job.began or state.created > job.began
        if took_it_up or (state.ended or 0.0) >= job.began:
            return
        Run.open(Path(job.run)).finish("failed", _last_words(reader.layout.launch_log, job.log_from))


def _last_words(log: Path, start: int) -> UserError:
    try:
        text = log.read_bytes()[start:][-_TOLD:].decode("utf-8", "replace")
    except OSError:
        text = ""
    return last_error(text.splitlines())
