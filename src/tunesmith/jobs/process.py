"""How libraries are to behave in a process that runs a job; said before they are loaded."""

from __future__ import annotations

import os
import warnings


def settle_libraries() -> None:
    """Quiet, and good neighbours.

    OpenMP's threads sleep while they wait for each other: spinning, they slow each other down 2–4 times as soon as
    anything else runs on the machine. What libraries tell their developers is not for our users; errors still come.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.simplefilter("ignore", FutureWarning)
    from transformers.utils import logging

    logging.disable_progress_bar()
