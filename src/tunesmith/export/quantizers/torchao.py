"""int8 and fp8 weights with torchao, without calibration: seconds, in our own environment, on any processor."""

from __future__ import annotations

import sys

from tunesmith.export.quantizers import QUANTIZERS, Quantizer
from tunesmith.export.quantizers.child import Request, serve

QUANTIZERS.add(
    "torchao",
    Quantizer(
        package="torchao",
        installs=("torchao>=0.18",),
        does={"int8": frozenset({8}), "fp8": frozenset({8})},
        isolated=False,
    ),
)


def quantize(request: Request) -> None:
    """Write the model with its linear layers, all but the head, in eight bits."""
    from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig
    from transformers import AutoModelForCausalLM, TorchAoConfig

    how = Float8WeightOnlyConfig() if request.method == "fp8" else Int8WeightOnlyConfig()
    model = AutoModelForCausalLM.from_pretrained(
        request.merged, dtype="auto", device_map=request.place, quantization_config=TorchAoConfig(how),
        trust_remote_code=request.trust_remote_code,
    )  # fmt: skip
    model.save_pretrained(request.target)


if __name__ == "__main__":
    sys.exit(serve("torchao", quantize))
