"""Is the process that wrote this still the one that runs? A pid alone can't tell: pids are reused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def birth(pid: int) -> str | None:
    """A word that only this life of the pid has (when it began), or None when no such process runs.

    A zombie counts as gone: its work has ended.
    """
    if sys.platform == "linux":
        return _birth_linux(pid)
    if sys.platform == "win32":
        return _birth_windows(pid)
    return _birth_ps(pid)


def is_alive(pid: int, born: str | None) -> bool:
    """Whether the process that had this pid and birth still runs; without a known birth the pid alone decides."""
    now = birth(pid)
    return now is not None and born in (None, now)


def _birth_linux(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    # The second field is the command in brackets and may itself hold spaces and brackets.
    fields = stat[stat.rindex(")") + 2 :].split()
    state, started_ticks = fields[0], fields[19]
    return None if state in "ZX" else f"{boot}:{started_ticks}"


def _birth_ps(pid: int) -> str | None:
    environment = {**os.environ, "LC_ALL": "C"}
    asked = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, encoding="utf-8", env=environment
    )
    status, _, started = asked.stdout.strip().partition(" ")
    return None if not status or status.startswith("Z") else started.strip()


def _birth_windows(pid: int) -> str | None:
    import ctypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    query_limited, still_active = 0x1000, 259
    handle = kernel.OpenProcess(query_limited, False, pid)
    if not handle:
        return None
    try:
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        times = [ctypes.c_ulonglong() for _ in range(4)]
        kernel.GetProcessTimes(handle, *(ctypes.byref(time) for time in times))
        return None if code.value != still_active else str(times[0].value)
    finally:
        kernel.CloseHandle(handle)
