"""The doctor's look at torch and the devices: is the GPU that is there the GPU that will be used?"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.cli.terminal import size
from tunesmith.finding import Finding
from tunesmith.jobs.launch import nvidia_gpus

if TYPE_CHECKING:
    from types import ModuleType

_FAST_BF16 = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16", "asimdbf16": "ARM bf16", "bf16": "ARM bf16"}


def device_lines() -> Iterator[Finding]:
    """torch itself, the GPU, and the precision that will be used."""
    try:
        import torch
    except Exception as error:  # whatever a broken installation raises
        told = f"can't be imported: {type(error).__name__}: {error}"
        yield Finding("fail", "torch", told, "Install it again: pip install --force-reinstall torch")
        return
    yield from gpu_lines(torch, nvidia_gpus())
    yield from precision_lines(torch)
    if os.name == "nt" and torch.cuda.device_count() > 1:
        told = "torch's Windows builds have no NCCL and no libuv"
        yield Finding("warn", "several GPUs", told, "Train on one (CUDA_VISIBLE_DEVICES=0), or use WSL2 or Linux.")


def gpu_lines(torch: ModuleType, gpus: list[str]) -> Iterator[Finding]:
    """gpus: what the NVIDIA driver lists, whatever torch makes of it."""
    version = torch.__version__
    if torch.cuda.is_available():
        yield Finding("pass", "torch", f"{version}, CUDA {torch.version.cuda}")
        for i in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(i)
            told = f"{torch.cuda.get_device_name(i)}, {size(free)} free of {size(total)}"
            if free < total / 2:
                fix = "Another program holds much of its memory; `nvidia-smi` names it."
                yield Finding("warn", f"GPU {i}", told, fix)
            else:
                yield Finding("pass", f"GPU {i}", told)
    elif torch.backends.mps.is_available():
        yield Finding("pass", "torch", f"{version}, Apple GPU (MPS)")
    elif gpus and torch.version.cuda is None:
        told = f"{version} is a build for the CPU, but there is a GPU: {_name(gpus[0])}"
        yield Finding("fail", "torch", told, "Install the GPU build: python setup/install.py --torch gpu")
    elif gpus and os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        told = f"{version} sees no GPU, because CUDA_VISIBLE_DEVICES is {os.environ['CUDA_VISIBLE_DEVICES']!r}"
        yield Finding("warn", "torch", told, "Unset CUDA_VISIBLE_DEVICES to train on the GPU.")
    elif gpus:
        told = f"{version} for CUDA {torch.version.cuda} can't use {_name(gpus[0])}"
        fix = "The driver is most likely too old for this CUDA: update the NVIDIA driver."
        yield Finding("fail", "torch", told, fix)
    else:
        yield Finding("pass", "torch", f"{version}, on the CPU ({os.cpu_count()} cores); no GPU found")


def precision_lines(torch: ModuleType) -> Iterator[Finding]:
    if torch.cuda.is_available():
        if torch.cuda.is_bf16_supported(including_emulation=False):
            yield Finding("pass", "bf16", "the GPU has it")
        else:
            told = f"{torch.cuda.get_device_name(0)} lacks it"
            fix = "fp16 is taken instead where a configuration leaves the precision open."
            yield Finding("warn", "bf16", told, fix)
        return
    found = [name for flag, name in _FAST_BF16.items() if flag in cpu_flags()]
    if found:
        yield Finding("pass", "bf16", f"the CPU has it ({', '.join(dict.fromkeys(found))})")
    else:
        told = f"no fast bf16 on this {platform.machine()} CPU"
        yield Finding("warn", "bf16", told, "Training on the CPU takes fp32.")


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """What the processor can do, in Linux's words; empty on other systems."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    named = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(named, "").split())


def _name(listed: str) -> str:
    """`GPU 0: NVIDIA H200 (UUID: …)` → `NVIDIA H200`."""
    return listed.partition(":")[2].partition("(UUID")[0].strip() or listed
