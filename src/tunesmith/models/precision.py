"""Which number formats a job computes and keeps its weights in: a pure function of the wish and of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from tunesmith.config.training import TrainingConfig

Requested = Literal["auto", "bf16", "fp16", "fp32", "pure_bf16"]

_DTYPES = {"bf16": torch.bfloat16, "pure_bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
_NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}


@dataclass(frozen=True, slots=True)
class Precision:
    """compute: of the frozen weights and of the matrix products. master: of the trained weights and their optimizer.

    note: one sentence for the user, always there.
    """

    compute: torch.dtype
    master: torch.dtype
    note: str


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a device can compute in without emulation. kind: torch's device type. name: for the user."""

    kind: str
    name: str
    bf16: bool
    fp16: bool


def requested_precision(training: TrainingConfig) -> Requested:
    """The one wish that `precision` and the three older switches together express."""
    wishes: tuple[Requested, ...] = ("pure_bf16", "bf16", "fp16")
    for wish in wishes:
        if getattr(training, wish):
            return wish
    return training.precision


def choose_precision(requested: Requested, device: DeviceFacts) -> Precision:
    """The requested precision where the device has it, else the nearest that works, and a sentence on which and why."""
    best = "bf16" if device.bf16 else "fp16" if device.fp16 else "fp32"
    possible = {"bf16": device.bf16, "pure_bf16": device.bf16, "fp16": device.fp16, "fp32": True}
    if requested == "auto":
        taken, why = best, f"the best that {device.name} computes natively"
    elif possible[requested]:
        taken, why = requested, "as asked"
    else:
        missing = requested.removeprefix("pure_")
        taken, why = best, f"{device.name} has no native {missing}, so {requested} was not taken"
    compute = _DTYPES[taken]
    master = compute if taken == "pure_bf16" else torch.float32
    if compute == master == torch.float32:
        return Precision(compute, master, f"Precision {taken}: {why}.")
    return Precision(compute, master, f"Precision {taken}, trained weights in {_NAMES[master]}: {why}.")


def choose_device(*, use_cpu: bool = False) -> torch.device:
    """The accelerator of this machine, or its CPU."""
    if not use_cpu and torch.accelerator.is_available():
        accelerator = torch.accelerator.current_accelerator()
        assert accelerator is not None
        return torch.device(accelerator.type, torch.accelerator.current_device_index())
    return torch.device("cpu")


def device_facts(device: torch.device) -> DeviceFacts:
    """What this device of this machine can do."""
    if device.type == "cuda":
        # Emulated bf16 on older GPUs is many times slower than fp16, so the API's own yes is not asked.
        native = torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
        return DeviceFacts("cuda", torch.cuda.get_device_name(device), bf16=native, fp16=True)
    if device.type == "mps":
        return DeviceFacts("mps", "this Mac's GPU", bf16=torch.backends.mps.is_macos_or_newer(14, 0), fp16=True)
    if device.type == "cpu":
        # Half precision without native instructions is slower than fp32; fp16 would need loss scaling besides.
        return DeviceFacts("cpu", "this CPU", bf16=_cpu_has_bf16(), fp16=False)
    return DeviceFacts(device.type, f"this {device.type}", bf16=True, fp16=True)


def _cpu_has_bf16() -> bool:
    """Native bf16 products: AVX512-BF16 or AMX on x86, the bf16 extension on ARM."""
    if hasattr(torch.cpu, "get_capabilities"):  # torch ≥ 2.10
        known = torch.cpu.get_capabilities()
        return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "avx10_2", "bf16", "sve_bf16"))
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe)() for probe in probes if hasattr(torch.cpu, probe))
