"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
import sys


def give_back_freed_memory() -> None:
    """What lies free inside the process goes back to the system, where glibc keeps it for later (malloc_trim(3)).

    Its holes are of the sizes of what was there before and seldom fit what comes next: the preparation of a job leaves
    200 MB, and steps on ever larger batches 100 MB, that would count beside the training (150M parameters, CPU).
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
