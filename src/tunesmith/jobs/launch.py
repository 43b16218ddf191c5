"""Starting a job as another process: detached over a run directory, or one process per device through torchrun.

No torch here. The environment variables are those that LLaMA-Factory's users know: FORCE_TORCHRUN, NPROC_PER_NODE,
NNODES, NODE_RANK, MASTER_ADDR, MASTER_PORT, and for elastic jobs RDZV_ID, MIN_NNODES, MAX_NNODES, MAX_RESTARTS.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.errors import UserError
from tunesmith.i18n import IN_ENGLISH
from tunesmith.runs.files import told_plainly
from tunesmith.runs.layout import RunLayout, is_run
from tunesmith.runs.read import RunReader
from tunesmith.runs.signals import handled
from tunesmith.runs.state import RunState

# How a process is started that the terminal's signals don't reach.
_APART: dict[str, Any] = {"start_new_session": True}
if sys.platform == "win32":
    _APART = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}


_INTERRUPTED = 130
"""The exit code of a run that was stopped."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How many processes work on a job. Alone means this process does it, without a process group."""

    per_node: int = 1
    nodes: int = 1

    @property
    def alone(self) -> bool:
        return self.per_node == 1 and self.nodes == 1


def spread(environment: Mapping[str, str], *, use_cpu: bool = False) -> Spread:
    """What the environment and the devices ask for; a worker that torchrun started has its share already.

    FORCE_TORCHRUN does not make a process group for a single device.
    """
    if "LOCAL_RANK" in environment:
        return Spread()
    nodes = _count(environment, "NNODES", 1)
    if "RDZV_ID" in environment:
        nodes = max(nodes, _count(environment, "MAX_NNODES", nodes))
    devices = 1 if use_cpu else max(1, gpu_count(environment))
    return Spread(_count(environment, "NPROC_PER_NODE", devices), nodes)


def torchrun_command(arguments: Sequence[str], wanted: Spread, environment: Mapping[str, str]) -> list[str]:
    """Run `tunesmith ARGUMENTS` once per device and node."""
    torchrun = [sys.executable, "-m", "tunesmith.jobs.torchrun", "--nproc-per-node", str(wanted.per_node)]
    address = environment.get("MASTER_ADDR", "127.0.0.1")
    port = environment.get("MASTER_PORT") or str(_free_port())
    if job := environment.get("RDZV_ID"):
        lowest = environment.get("MIN_NNODES", str(wanted.nodes))
        highest = environment.get("MAX_NNODES", str(wanted.nodes))
        torchrun += ["--nnodes", f"{lowest}:{highest}", "--max-restarts", environment.get("MAX_RESTARTS", "0")]
        torchrun += ["--rdzv-id", job, "--rdzv-backend", "c10d", "--rdzv-endpoint", f"{address}:{port}"]
    else:
        torchrun += ["--nnodes", str(wanted.nodes), "--node-rank", environment.get("NODE_RANK", "0")]
        torchrun += ["--master-addr", address, "--master-port", port]
    return [*torchrun, "--module", "tunesmith", *arguments]


def run_spread(arguments: Sequence[str], wanted: Spread, run: Path) -> int:
    """Run `tunesmith ARGUMENTS` through torchrun in the foreground and return its exit code.

    run: the run directory. Ctrl-C (or a terminate signal) asks the run to save and end; a second one, or one before it
    has begun, ends all processes at once. Either is raised when they have ended. The signals reach this process alone:
    torchrun would kill what still saves.
    """
    if wanted.nodes > 1 and "MASTER_PORT" not in os.environ:
        raise UserError(
            f"NNODES={wanted.nodes} asks for several machines, but MASTER_PORT is not set.",
            hint="Set MASTER_ADDR and MASTER_PORT to the same values on all of them, and NODE_RANK to 0, 1, …",
        )
    _refuse_taken_port(os.environ)
    command = torchrun_command(arguments, wanted, os.environ)
    # libuv is missing from torch's Windows builds, and torchrun's store asks for it by default.
    environment = {**os.environ, "USE_LIBUV": "0"} if os.name == "nt" else dict(os.environ)
    began = time.time()
    # The end of the terminal is an interrupt too: the workers would outlive this process.
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]
    with handled(signal.default_int_handler, *numbers), subprocess.Popen(command, env=environment, **_APART) as group:
        try:
            return group.wait() or (_INTERRUPTED if _stopped(run, began) else 0)
        except KeyboardInterrupt:
            try:
                state = RunReader(run).state() if is_run(run) else RunState(status="failed")
                if state.active and (state.started or 0.0) >= began:
                    RunLayout(run).stop.touch()
                    print(
                        f"Stopping: the step is finished and saved; then go on with: tunesmith runs resume {run}\n"
                        "Press Ctrl-C again to stop at once, losing it.",
                        file=sys.stderr,
                    )
                    if code := group.wait():
                        return code
            finally:
                _end(group)
            raise


def _stopped(run: Path, since: float) -> bool:
    """Whether the run that was begun since then was asked to end, as by `runs stop`: its workers end without a word."""
    if not is_run(run):  # another machine keeps it
        return False
    state = RunReader(run).state()
    return state.status == "stopped" and (state.started or 0.0) >= since


def start_detached(
    run: Path,
    arguments: Sequence[str],
    *,
    module: str = "tunesmith",
    environment: Mapping[str, str] | None = None,
) -> int:
    """Start `tunesmith ARGUMENTS` so that it outlives this process and its terminal; returns its pid.

    What it prints goes to the launch log of the run directory `run`, which is made if it is not there.
    module: another module to run than tunesmith. environment: variables laid over this process's.
    """
    layout = RunLayout(run)
    with told_plainly(layout.launch_log):
        layout.logs.mkdir(parents=True, exist_ok=True)
        with layout.launch_log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **IN_ENGLISH, **(environment or {})},
                **_APART,
            )
    return process.pid


def gpu_count(environment: Mapping[str, str]) -> int:
    """NVIDIA GPUs that this job may use: those in CUDA_VISIBLE_DEVICES, else all. 0 where torch has no CUDA."""
    if torch_cuda_version() is None:
        return 0
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return len(nvidia_gpus())
    chosen = [device for device in visible.split(",") if device.strip()]
    return 0 if chosen[:1] == ["-1"] else min(len(chosen), len(nvidia_gpus()))


def nvidia_gpus() -> list[str]:
    """One line per GPU that the NVIDIA driver shows, e.g. `GPU 0: NVIDIA H200 (UUID: …)`."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        listed = subprocess.run([program, "-L"], capture_output=True, text=True, encoding="utf-8", timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in listed.stdout.splitlines() if line.startswith("GPU ")] if listed.returncode == 0 else []


def torch_cuda_version() -> str | None:
    """The CUDA version that the installed torch was built for, read without importing it; None for a CPU build."""
    return _torch_builds().get("cuda")


def torch_device(*, use_cpu: bool = False) -> str | None:
    """`cpu` or `mps` where the installed torch can't compute on anything else; None where it may find a GPU."""
    if use_cpu:
        return "cpu"
    return None if _torch_builds() else "mps" if sys.platform == "darwin" else "cpu"


def _torch_builds() -> dict[str, str]:
    """What kinds of GPUs the installed torch was built for, with the version of each; read without importing it."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return {}
    try:
        text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return {}
    return dict(re.findall(r"^(cuda|hip|xpu)\b[^=]*=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE))


def _count(environment: Mapping[str, str], name: str, otherwise: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return otherwise
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"The environment variable {name} is {text!r}; a whole number from 1 was expected.")
    return int(text)


def _refuse_taken_port(environment: Mapping[str, str]) -> None:
    """UserError where MASTER_PORT is to be listened on here and another process does: torchrun tells it in 80 lines."""
    port = environment.get("MASTER_PORT", "")
    if not port.isdigit() or "RDZV_ID" in environment or environment.get("NODE_RANK", "0") != "0":
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name != "nt":  # there the option would let two processes have the same port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", int(port)))
        except (OSError, OverflowError) as error:
            raise UserError(
                f"MASTER_PORT is {port}, which can't be had on this machine: {error}.",
                hint="Often another training uses it. Choose another port, or unset MASTER_PORT on a single machine.",
                code="port",
            ) from error


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it has started, unless it has ended by itself."""
    import psutil

    if process.poll() is not None:
        return
    launcher = psutil.Process(process.pid)
    for one in [launcher, *launcher.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()
