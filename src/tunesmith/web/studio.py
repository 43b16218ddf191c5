"""Everything that the endpoints share, and the one thread that keeps the queue going."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.errors import UserError
from tunesmith.runs.read import RunReader
from tunesmith.runs.state import process_lives
from tunesmith.web import forms
from tunesmith.web.children import Children
from tunesmith.web.devices import Devices
from tunesmith.web.previews import Previews
from tunesmith.web.queue import Queue
from tunesmith.web.sessions import Sessions
from tunesmith.web.shelf import Shelf
from tunesmith.web.summaries import Summaries, Summary
from tunesmith.web.workspace import Missing, Workspace

AUTHORED = ("data make", "data roles")
_TICK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Listed:
    """The list of runs at one moment. digest: equal lists have equal ones, in every server."""

    runs: tuple[Summary, ...]
    digest: str


class Studio:
    """exposed: other machines reach the page, so that only what lies in the workspace may be named."""

    def __init__(self, workspace: Workspace, *, exposed: bool = False) -> None:
        self.workspace, self.exposed = workspace, exposed
        self.queue = Queue(workspace.own("queue.json"), self._at_work)
        self.summaries = Summaries(workspace, self.queue)
        self.shelf = Shelf()
        self.devices = Devices()
        self.children = Children()
        self.sessions = Sessions(self.children)
        self.previews = Previews()
        self.estimates: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._listed = Listed((), "")
        self._looking = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        self.look()
        self._ended.clear()
        self._thread = threading.Thread(target=self._keep_going, name="queue", daemon=True)
        self._thread.start()

    @property
    def leaving(self) -> bool:
        """Whether the server is about to end: what is without end ends then, and no answer is waited for."""
        return self._ended.is_set()

    def leave(self) -> None:
        """The server was told to end; called where a signal is handled, so it only sets a mark."""
        self._ended.set()

    def end(self) -> None:
        """Let go of what lives in this process; runs go on."""
        self._ended.set()
        self.children.end_all()
        self.previews.end()
        if self._thread is not None:
            self._thread.join(timeout=5)

    @property
    def listed(self) -> Listed:
        """The list as of the last half second."""
        return self._listed

    def look(self) -> Listed:
        """The list as it is now."""
        with self._looking:  # of two that look at once, the later one is not overwritten by the earlier
            runs = tuple(self.summaries.all())
            if runs != self._listed.runs or not self._listed.digest:
                text = "\n".join(repr(run) for run in runs)
                self._listed = Listed(runs, hashlib.blake2b(text.encode("utf-8"), digest_size=6).hexdigest())
            return self._listed

    def summary(self, name: str) -> Summary:
        """Of one run as it is now, however its name is spelled."""
        wanted = self.workspace.relative(Path(name))
        for _ in range(2):
            for summary in self.look().runs:
                if summary.id == wanted:
                    return summary
            self.summaries.forget_search()
        raise Missing(f"There is no run {name}.")

    def changed(self) -> None:
        """A run was made, queued or deleted: start what can start, and show it at once."""
        self.queue.tick()
        self.summaries.forget_search()
        self.look()

    def _keep_going(self) -> None:
        while not self._ended.wait(_TICK_SECONDS):
            for task in (self._tick, self.look, self.children.end_idle):
                try:
                    task()
                except Exception as error:  # a full disk or a damaged folder must not stop the others for good
                    print(f"studio: {type(error).__name__}: {error}", flush=True)
        self.children.end_all()  # who waits for their answers holds up the end of the server
        self.previews.end()

    def _tick(self) -> None:
        if self.queue.tick():
            self.summaries.forget_search()

    def devices_taken(self) -> bool:
        """Whether what needs a device has to wait its turn."""
        return self.queue.holds_devices() or bool(self._at_work())

    def _at_work(self) -> list[str]:
        """Ids of the runs whose process lives and may hold a device, whoever started it."""
        return [summary.id for summary in self._listed.runs if self._works(summary)]

    def _works(self, summary: Summary) -> bool:
        if summary.status not in ("running", "stopping"):
            return False
        try:
            run = self.workspace.run(summary.id)
            return process_lives(run.state()) and not (summary.kind in AUTHORED and asks_a_server(run))
        except UserError:
            return False  # its folder was deleted or moved since it was listed


def asks_a_server(run: RunReader) -> bool:
    """Whether an authoring job has its model elsewhere, so that it needs no device of this machine."""
    config = forms.mapping_in(run.layout.resolved)
    model = config.get("model")
    return bool(config.get("base_url")) or not (isinstance(model, str) and model and Path(model).expanduser().exists())
