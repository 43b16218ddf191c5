"""GPTQ in 8, 4, 3 and 2 bits with GPTQModel, as LLaMA-Factory writes it."""

from __future__ import annotations

import os
import sys
from typing import Any

from tunesmith.export.quantizers import QUANTIZERS, Quantizer
from tunesmith.export.quantizers.child import Request, group_size, serve, skeleton

QUANTIZERS.add(
    "gptqmodel",
    Quantizer(
        package="gptqmodel",
        installs=("gptqmodel>=7.7", "optimum>=2.3"),
        does={"gptq": frozenset({8, 4, 3, 2})},
        calibrated=frozenset({"gptq"}),
    ),
)
_FEWEST_CPUS = 4


def quantize(request: Request) -> None:
    """Write the model with its linear layers, all but the head, quantized."""
    from gptqmodel import GPTQModel, QuantizeConfig

    size = group_size(skeleton(request))
    how = QuantizeConfig(bits=request.bits, group_size=size, device=request.place)
    model = GPTQModel.load(request.merged, how, trust_remote_code=request.trust_remote_code)
    rows = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in request.calibration]
    model.quantize(rows, batch_size=1)
    model.save(request.target)


def reload(folder: str, request: Request) -> Any:
    """By the library's own loader, which picks a kernel that the processor has."""
    from gptqmodel import GPTQModel

    return GPTQModel.load(folder, device=request.place, trust_remote_code=request.trust_remote_code).model.eval()


def _enough_cpus() -> None:
    """Release 7.7 lays out pools of workers by the number of CPUs, and fails on hosts with one or two."""
    if (os.cpu_count() or 1) < _FEWEST_CPUS:
        os.cpu_count = lambda: _FEWEST_CPUS


if __name__ == "__main__":
    _enough_cpus()
    sys.exit(serve("gptqmodel", quantize, reload))
