"""What the user sees when we made the mistake: one line, and the traceback in a file."""

from __future__ import annotations

import json
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tunesmith.i18n import tr
from tunesmith.runs import environment


def report(error: BaseException, arguments: Sequence[str]) -> str:
    """Write the crash log and return the line that names it."""
    told = f"{type(error).__name__}: {error}".splitlines()[0]
    line = tr("Tunesmith failed, and that is a fault of ours: {told}").format(told=told)
    try:
        log = _write_log(error, arguments)
    except OSError:
        return f"{line}\n  → {tr('Set TUNESMITH_DEBUG=1 to see where.')}"
    where = tr("What happened is in {log}; please send it along with a report.").format(log=log)
    return f"{line}\n  → {where}"


def _write_log(error: BaseException, arguments: Sequence[str]) -> Path:
    folder = Path(tempfile.gettempdir()) / "tunesmith-crashes"
    folder.mkdir(exist_ok=True)
    log = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{time.monotonic_ns() % 10**6:06d}.log"
    facts = {**environment.collect(), "command": ["tunesmith", *environment.without_secrets(arguments)]}
    text = "".join(traceback.format_exception(error))
    log.write_text(f"{text}\n{json.dumps(facts, indent=1, ensure_ascii=False)}\n", encoding="utf-8")
    return log
