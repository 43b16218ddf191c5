"""Libraries that quantize safetensors: one module each, which registers itself and runs in the library's interpreter.

What is here and in `child.py` gets by with the standard library: that interpreter has the library's own torch and
transformers, and none of what Tunesmith depends on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tunesmith.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantizer:
    """A library that quantizes.

    package: as it is imported. installs: what pip is given. does: method → bits. calibrated: methods that look at how
    the model reads real text. isolated: asks for other releases of torch or transformers than ours, so that it is
    installed into an environment of its own. on_cpu: whether it works without a GPU.
    """

    package: str
    installs: tuple[str, ...]
    does: Mapping[str, frozenset[int]]
    calibrated: frozenset[str] = frozenset()
    isolated: bool = True

    @property
    def module(self) -> str:
        """What the library's interpreter runs."""
        return f"{__name__}.{self.package}"

    def can(self, method: str, bits: int) -> bool:
        return bits in self.does.get(method, ())


QUANTIZERS: Registry[Quantizer] = Registry("quantizer", __name__)
