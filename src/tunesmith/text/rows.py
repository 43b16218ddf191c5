"""What is wrong with a row that can't be used."""

from __future__ import annotations


class RowError(Exception):
    """A row of a data file can't be used; reason is one sentence a layman understands."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
