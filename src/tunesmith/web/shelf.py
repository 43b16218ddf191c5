"""What was read of the runs that were looked at last: it stays read, so that a long file costs what is new in it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tunesmith.evaluation.results import Predictions
from tunesmith.web.metrics import Columns, MetricsFile

Read = TypeVar("Read")
_KEPT = 8


class Shelf:
    def __init__(self) -> None:
        self._columns: OrderedDict[Path, MetricsFile] = OrderedDict()
        self._predictions: OrderedDict[Path, Predictions] = OrderedDict()
        self._lock = threading.Lock()

    def columns(self, path: Path) -> Columns:
        """Those of a metrics file, up to date."""
        return self._taken(self._columns, path, MetricsFile).columns()

    def predictions(self, path: Path) -> Predictions:
        """The answers in a file, up to date."""
        return self._taken(self._predictions, path, Predictions).refresh()

    def forget(self, run: Path) -> None:
        """Put away what was read of a run that is deleted."""
        with self._lock:
            for kept in (self._columns, self._predictions):
                for path in [path for path in kept if path.parent == run]:
                    del kept[path]

    def _taken(self, kept: OrderedDict[Path, Read], path: Path, make: Callable[[Path], Read]) -> Read:
        with self._lock:
            if path not in kept:
                kept[path] = make(path)
            kept.move_to_end(path)
            found = kept[path]
            while len(kept) > _KEPT:
                kept.popitem(last=False)
        return found
