"""Optimizers by the names users know; one file per family, found by listing this folder.

A name is looked up before anything is loaded, so that torch is imported where an optimizer is built.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tunesmith.config import OptimizerConfig
from tunesmith.registry import Registry

if TYPE_CHECKING:
    from torch.optim import Optimizer

Groups = list[dict[str, Any]]
Build = Callable[[Groups, OptimizerConfig], "Optimizer"]

OPTIMIZERS: Registry[Build] = Registry("optimizer", "tunesmith.training.optimizers")
