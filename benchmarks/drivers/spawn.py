"""Run one command and write what it cost, as JSON: a process of its own, which imports next to nothing and stays small.

The kernel's peak of a process starts at what its parent held when it was forked, so a large parent would be counted in
every child. Linux only (reads /proc).

Usage: spawn.py RESULT.json OUTPUT.txt LOG|- all|one COMMAND …      (all cores, or one)
RESULT: {"code", "wall", "cpu", "peak_mib", "ticks": [[wall, cpu, line], …]},
a tick for each line of LOG at its arrival.
"""

import json
import os
import sys
import time

POLL_SECONDS = 0.005
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def main(result: str, output: str, log: str, cores: str, *command: str) -> None:
    ticks: list[tuple[float, float, str]] = []
    started = time.perf_counter()
    pid = os.fork()
    if not pid:
        if cores == "one":
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        os.execvp(command[0], command)
    status, usage = wait(pid, log, ticks)
    cost = {"code": os.waitstatus_to_exitcode(status), "wall": time.perf_counter() - started,
            "cpu": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024, "ticks": ticks}  # fmt: skip
    with open(result, "w", encoding="utf-8") as sink_file:  # noqa: PTH123 (pathlib would double this process)
        json.dump(cost, sink_file)


def wait(pid: int, log: str, ticks: list) -> tuple[int, "os.struct_rusage"]:
    """Wait for the end of a process, noting each complete line that `log` gains."""
    if log == "-":
        return os.wait4(pid, 0)[1:]
    read = 0
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if os.path.isfile(log) and os.path.getsize(log) > read:
            read = new_lines(log, read, pid, ticks)
        if done:
            return status, usage
        time.sleep(POLL_SECONDS)


def new_lines(log: str, read: int, pid: int, ticks: list) -> int:
    now, cpu = time.perf_counter(), cpu_seconds(pid)
    with open(log, "rb") as source:  # noqa: PTH123
        source.seek(read)
        for line in source:
            if not line.endswith(b"\n"):
                break
            read += len(line)
            ticks.append((now, cpu, line.decode("utf-8")))
    return read


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a living process and of its children that ended."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as source:  # noqa: PTH123
        fields = source.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS_PER_SECOND


if __name__ == "__main__":
    main(*sys.argv[1:])
