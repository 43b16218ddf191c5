"""How libraries are to behave in a process that runs a job; said before they are loaded."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def settled_libraries() -> Iterator[None]:
    """Quiet libraries while a job runs; warnings and progress bars are the caller's own again afterwards."""
    settle_libraries()
    from transformers.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

    shown = is_progress_bar_enabled()
    disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if shown:
            enable_progress_bar()


def _is_busy() -> bool:
    """Whether other programs keep more than half of the cores at work."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > (os.cpu_count() or 1) / 2


def settle_libraries() -> None:
    """Quiet, and good neighbours.

    On a machine that is busy already, OpenMP's threads spin only briefly while they wait for each other, then sleep:
    two trainings of 150M parameters on two cores then make 210 tokens/s each, with the usual long spinning 115. Alone
    a training is 3–8 % faster with it. What libraries tell their developers is not for our users; errors still come.
    """
    if "OMP_WAIT_POLICY" not in os.environ and _is_busy():
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for library in ("torchao", "torch.utils._pytree"):  # of its kernels for other machines, and what it calls there
        logging.getLogger(library).setLevel(logging.ERROR)
