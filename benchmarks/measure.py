"""What a process costs, seen from outside: wall and CPU seconds, peak memory, and when each line of its log arrived.

Nothing runs inside the measured program, so both tools are measured by the same clock.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SPAWN = Path(__file__).parent / "drivers" / "spawn.py"


@dataclass(frozen=True)
class Tick:
    """A line of the watched log: the wall clock and the process's CPU seconds at its arrival, and its text."""

    wall: float
    cpu: float
    line: str


@dataclass(frozen=True)
class Cost:
    """What one process cost: seconds of wall and CPU (children included), peak resident memory in MiB."""

    wall: float
    cpu: float
    peak_mib: float
    ticks: list[Tick] = field(default_factory=list)


class CommandFailed(RuntimeError):
    """A measured command ended with an error; carries the end of what it printed."""


def run(
    command: Sequence[str | Path],
    *,
    output: Path,
    log: Path | None = None,
    one_core: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Cost:
    """Run a command to its end, its output going to the file `output`; watch `log` for complete lines if given."""
    output.parent.mkdir(parents=True, exist_ok=True)
    result = output.with_suffix(".cost.json")
    spawn = [sys.executable, "-I", "-S", SPAWN, result, output, log or "-", "one" if one_core else "all", *command]
    subprocess.run([str(part) for part in spawn], check=True, env={**os.environ, **(environment or {})})
    cost = json.loads(result.read_text(encoding="utf-8"))
    result.unlink()
    if code := cost.pop("code"):
        tail = output.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise CommandFailed(f"{Path(command[0]).name} ended with {code}:\n{tail}")
    return Cost(**{**cost, "ticks": [Tick(*tick) for tick in cost["ticks"]]})
