"""`tunesmith env`: what a bug report needs, ready to paste."""

from __future__ import annotations

import os

from tunesmith.cli.terminal import size
from tunesmith.runs import environment

_SWITCHES = (
    "CUDA_VISIBLE_DEVICES", "NPROC_PER_NODE", "NNODES", "FORCE_TORCHRUN", "HF_ENDPOINT", "HF_HOME", "HF_HUB_OFFLINE",
    "USE_MODELSCOPE_HUB", "OMP_NUM_THREADS", "TUNESMITH_LANGUAGE",
)  # fmt: skip


def run(arguments: list[str]) -> int:
    if any(argument in ("-h", "--help") for argument in arguments):
        print("tunesmith env\n\nPrints versions, platform and devices for a bug report. No tokens, no file names.")
        return 0
    facts = environment.collect()
    lines = {"platform": facts["platform"], "python": facts["python"], "CPUs": facts["cpus"], **facts["packages"]}
    lines |= _devices()
    lines |= {name: os.environ[name] for name in _SWITCHES if name in os.environ}
    if facts["git"]:
        lines["git commit"] = facts["git"]["commit"] + (" (changed)" if facts["git"]["changed"] else "")
    width = max(map(len, lines))
    for name, value in lines.items():
        print(f"- {name:<{width}}  {value}")
    return 0


def _devices() -> dict[str, str]:
    try:
        import torch
    except Exception as error:  # a broken torch is what the report is about
        return {"torch": f"can't be imported: {type(error).__name__}: {error}"}
    found = {"torch": torch.__version__, "CUDA of torch": str(torch.version.cuda)}
    for i in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(i)
        found[f"GPU {i}"] = f"{device.name}, {size(device.total_memory)}"
    if torch.backends.mps.is_available():
        found["MPS"] = "available"
    return found
