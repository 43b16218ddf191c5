"""A curve in the terminal, drawn with braille dots: two across and four down in each character."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

_BLANK = 0x2800
# The bit of each dot in a braille character, by row and column.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def draw(xs: Sequence[float], ys: Sequence[float], *, width: int = 70, height: int = 12) -> list[str]:
    """The curve through the points as lines of text with its scales.

    width, height: characters of the drawing itself, without the scales. xs must not decrease. An empty list comes
    back for no points; one point, or a flat curve, is drawn in the middle.
    """
    if not xs:
        return []
    columns, rows = width * 2, height * 4
    low, high = min(ys), max(ys)
    spread = (high - low) or 1.0
    span = (xs[-1] - xs[0]) or 1.0
    dots = [
        (
            round((x - xs[0]) / span * (columns - 1)) if len(xs) > 1 else columns // 2,
            round((high - y) / spread * (rows - 1)) if high > low else rows // 2,
        )
        for x, y in zip(xs, ys, strict=True)
    ]
    cells = [[_BLANK] * width for _ in range(height)]
    for column, row in _joined(dots):
        cells[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
    return _with_scales(["".join(map(chr, row)) for row in cells], low, high, xs[0], xs[-1])


def _joined(dots: list[tuple[int, int]]) -> set[tuple[int, int]]:
    """The dots and those on the straight lines between neighbours."""
    filled = set(dots)
    for (x0, y0), (x1, y1) in pairwise(dots):
        steps = max(abs(x1 - x0), abs(y1 - y0))
        for i in range(1, steps):
            filled.add((x0 + round((x1 - x0) * i / steps), y0 + round((y1 - y0) * i / steps)))
    return filled


def _with_scales(lines: list[str], low: float, high: float, first: float, last: float) -> list[str]:
    names = [""] * len(lines)
    names[0], names[-1] = f"{high:.4g}", f"{low:.4g}"
    if high > low and len(lines) > 4:
        names[len(lines) // 2] = f"{(high + low) / 2:.4g}"
    margin = max(map(len, names))
    width = len(lines[0])
    left, right = f"{first:g}", f"{last:g}"
    scale = left + right.rjust(width - len(left))
    return [f"{name:>{margin}} ┤{line}" for name, line in zip(names, lines, strict=True)] + [" " * (margin + 2) + scale]
