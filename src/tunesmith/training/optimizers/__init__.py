"""Optimizers by the names users know; one file per family, found by listing this folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tunesmith.config import OptimizerConfig
from tunesmith.registry import Registry

Groups = list[dict[str, Any]]
Build = Callable[[Groups, OptimizerConfig], torch.optim.Optimizer]

OPTIMIZERS: Registry[Build] = Registry("optimizer", "tunesmith.training.optimizers")
