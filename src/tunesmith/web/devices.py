"""What this machine has to train on, asked without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence

import psutil
from pydantic import BaseModel

from tunesmith.errors import UserError
from tunesmith.jobs.launch import gpu_count, torch_cuda_version, torch_device
from tunesmith.web.language import Told

CPU = "cpu"
_ASK_AGAIN_SECONDS = 5


class Device(BaseModel):
    """memory, free: bytes. id: the number that CUDA_VISIBLE_DEVICES takes, or `cpu`."""

    id: str
    name: Told
    memory: int
    free: int


class Devices:
    """The GPUs that this process may use, or else the CPU. What was told stays true for some seconds."""

    def __init__(self) -> None:
        self._told: list[Device] = []
        self._asked = 0.0
        self._lock = threading.Lock()

    def all(self) -> list[Device]:
        with self._lock:
            if not self._told or time.monotonic() - self._asked > _ASK_AGAIN_SECONDS:
                self._told = _gpus() or [_cpu()]
                self._asked = time.monotonic()
            return self._told

    def has_gpu(self) -> bool:
        return self.ids() != [CPU]

    def ids(self) -> list[str]:
        return [device.id for device in self.all()]

    def kind(self, *, use_cpu: bool = False) -> str | None:
        """`cpu` or `mps` where a training here can't compute on anything else; None where it may find a GPU."""
        built_for = torch_device(use_cpu=use_cpu)
        if built_for is None and torch_cuda_version() is not None and not self.has_gpu():
            return None if gpu_count(os.environ) else CPU  # some are chosen by names that are not listed here
        return built_for

    def known(self, chosen: Sequence[str] | None) -> list[str]:
        """The devices that were chosen; UserError for one that there is not."""
        there = list(dict.fromkeys([*self.ids(), CPU]))
        unknown = [device for device in chosen or () if device not in there]
        if unknown:
            told = f"There is no device {unknown[0]!r}."
            raise UserError(told, hint=f"There are: {', '.join(there)}.", field="devices")
        return list(dict.fromkeys(chosen or ()))


def environment_for(chosen: list[str]) -> dict[str, str]:
    """Variables that give a job these devices and no others."""
    numbers = [device for device in chosen if device != CPU]
    return {"CUDA_VISIBLE_DEVICES": ",".join(numbers) or "-1"} if chosen else {}


def _cpu() -> Device:
    memory = psutil.virtual_memory()
    return Device(id=CPU, name=f"CPU, {os.cpu_count()} cores", memory=memory.total, free=memory.available)


def _gpus() -> list[Device]:
    program = shutil.which("nvidia-smi")
    if program is None or torch_cuda_version() is None:
        return []
    query = [program, "--query-gpu=index,name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, encoding="utf-8", timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = []
    for line in told.stdout.splitlines() if told.returncode == 0 else ():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 4 and cells[2].isdigit() and cells[3].isdigit():
            found.append(Device(id=cells[0], name=cells[1], memory=int(cells[2]) << 20, free=int(cells[3]) << 20))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    allowed = [name.strip() for name in visible.split(",")]
    return [device for device in found if device.id in allowed]
