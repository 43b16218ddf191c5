"""What is wrong with a row that can't be used."""

from __future__ import annotations


class RowError(Exception):
    """A row of a data file can't be used; reason is one sentence a layman understands.

    text: what stands in the file where nothing could be made of it, to be corrected by hand.
    """

    def __init__(self, reason: str, text: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.text = text
