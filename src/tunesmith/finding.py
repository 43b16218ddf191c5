"""How one thing stands: a line of `doctor` and `plan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """what was looked at, detail: what was found, fix: what to do about a warning or a failure."""

    status: Literal["pass", "warn", "fail"]
    what: str
    detail: str
    fix: str = ""
