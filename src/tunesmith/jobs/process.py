"""How libraries are to behave in a process that runs a job; said before they are loaded."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def settled_libraries() -> Iterator[None]:
    """Quiet libraries while a job runs; warnings and progress bars are the caller's own again afterwards."""
    settle_libraries()
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if shown:
            logging.enable_progress_bar()


def settle_libraries() -> None:
    """Quiet, and good neighbours.

    OpenMP's threads spin only briefly while they wait for each other, then sleep. Two trainings of 150M parameters on
    two cores: 210 tokens/s each, with the usual long spinning 115, while a training alone loses 3 % by it (sleeping at
    once it would lose 30 %). What libraries tell their developers is not for our users; errors still come.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
