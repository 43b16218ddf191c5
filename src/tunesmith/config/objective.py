"""What training minimizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tunesmith.config.section import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveConfig(Section):
    """What training minimizes."""

    stage: Literal["pt", "sft"] = "sft"
    """`sft` learns the answers of conversations; `pt` goes on with pre-training on plain text."""
