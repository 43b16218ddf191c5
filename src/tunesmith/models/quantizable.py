"""Where a base model can't be quantized while it is loaded, as far as it can be told without torch."""

from __future__ import annotations

from importlib.util import find_spec

from tunesmith.errors import UserError

FIELD = "quantization_bit"


def must_be_quantizable(bits: int, device: str) -> None:
    """UserError where bitsandbytes can't quantize to so many bits on a device of that kind (`cpu`, `cuda` …)."""
    if bits not in (4, 8):
        raise UserError(f"quantization_bit is {bits}; bitsandbytes has 4 and 8.", hint="Set 4 or 8.", field=FIELD)
    if device not in ("cuda", "xpu"):
        raise UserError(
            f"quantization_bit: {bits} needs a GPU; this run is on the {device.upper()}.",
            hint="Leave quantization_bit out: LoRA on a bf16 base works here.",
            field=FIELD,
            code="needs_gpu",
        )
    if find_spec("bitsandbytes") is None:
        raise UserError(
            f"quantization_bit: {bits} needs the bitsandbytes package, which is not installed.",
            hint='Install it with `pip install "tunesmith[bitsandbytes]"`.',
            field=FIELD,
        )
