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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.errors import UserError
from tunesmith.runs.files import told_plainly
from tunesmith.runs.layout import RunLayout

_SECONDS_TO_SAVE = 600.0


@dataclass(frozen=True, slots=True)
class Spread:
    """How many processes work on a job. Alone means this process does it, without a process group."""

    per_node: int = 1
    nodes: int = 1

    @property
    def alone(self) -> bool:
        return self.per_node == 1 and self.nodes == 1


def spread(environment: Mapping[str, str]) -> Spread:
    """What the environment and the devices ask for; a worker that torchrun started has its share already.

    FORCE_TORCHRUN does not make a process group for a single device.
    """
    if "LOCAL_RANK" in environment:
        return Spread()
    nodes = _count(environment, "NNODES", 1)
    if "RDZV_ID" in environment:
        nodes = max(nodes, _count(environment, "MAX_NNODES", nodes))
    return Spread(_count(environment, "NPROC_PER_NODE", max(1, gpu_count(environment))), nodes)


def worker_command(arguments: Sequence[str]) -> list[str]:
    """Run `tunesmith ARGUMENTS` in another process of this Python."""
    return [sys.executable, "-m", "tunesmith", *arguments]


def torchrun_command(arguments: Sequence[str], wanted: Spread, environment: Mapping[str, str]) -> list[str]:
    """Run `tunesmith ARGUMENTS` once per device and node."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(wanted.per_node)]
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


def run_spread(arguments: Sequence[str], wanted: Spread) -> int:
    """Run `tunesmith ARGUMENTS` through torchrun in the foreground and return its exit code.

    Ctrl-C asks all workers to save and end; a second Ctrl-C ends them at once.
    """
    if wanted.nodes > 1 and "MASTER_PORT" not in os.environ:
        raise UserError(
            f"NNODES={wanted.nodes} asks for several machines, but MASTER_PORT is not set.",
            hint="Set MASTER_ADDR and MASTER_PORT to the same values on all of them, and NODE_RANK to 0, 1, …",
        )
    command = torchrun_command(arguments, wanted, os.environ)
    # libuv is missing from torch's Windows builds, and torchrun's store asks for it by default.
    environment = {**os.environ, "USE_LIBUV": "0"} if os.name == "nt" else dict(os.environ)
    with subprocess.Popen(command, env=environment) as group:
        try:
            return group.wait()
        except KeyboardInterrupt:  # the terminal has told the workers too
            try:
                return group.wait(_SECONDS_TO_SAVE)
            except (KeyboardInterrupt, subprocess.TimeoutExpired):
                _end(group)
                raise KeyboardInterrupt from None


def start_detached(run: Path, arguments: Sequence[str]) -> int:
    """Start `tunesmith ARGUMENTS` so that it outlives this process and its terminal; returns its pid.

    What it prints goes to the launch log of the run directory `run`, which is made if it is not there.
    """
    layout = RunLayout(run)
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    with told_plainly(layout.launch_log):
        layout.logs.mkdir(parents=True, exist_ok=True)
        with layout.launch_log.open("ab") as log:
            process = subprocess.Popen(
                worker_command(arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=os.name != "nt",
                creationflags=flags,
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
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return None
    try:
        text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    named = re.search(r"^cuda\b[^=]*=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return named[1] if named else None


def _count(environment: Mapping[str, str], name: str, otherwise: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return otherwise
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"The environment variable {name} is {text!r}; a whole number from 1 was expected.")
    return int(text)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the launcher to end its workers, and make it end if it doesn't."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
