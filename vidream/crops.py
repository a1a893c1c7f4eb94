"""Rectangles around scattered ground, so that work is spent there and not everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidream.octaves import Size

Mask = npt.NDArray[np.bool_]

_WORTH = 0.85  # a split is made if it saves at least the rest of the cost


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: from ``top`` and ``left`` up to, not including, ``bottom`` and ``right``."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    @property
    def area(self) -> int:
        """Height times width."""
        return self.size[0] * self.size[1]

    @property
    def slices(self) -> tuple[slice, slice]:
        """What selects it from the last two dimensions of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def crops(mask: Mask, unit: int, size: Size, margin: int, least: int) -> list[Box]:
    """Cover what is marked with few rectangles of little area.

    Args:
        mask: ``[h, w]``, one cell for each ``unit`` × ``unit`` pixels of the image.
        unit: pixels to a cell.
        size: of the image, in pixels.
        margin: pixels of context around what is marked.
        least: smallest side of a rectangle, as far as the image is that large.

    Returns:
        Rectangles in pixels, inside the image; they may overlap by their margins.
    """
    found = []
    for box in _split(mask, _tight(mask), margin / unit):
        top, bottom = _span(box.top * unit, box.bottom * unit, size[0], margin, least)
        left, right = _span(box.left * unit, box.right * unit, size[1], margin, least)
        found.append(Box(top, left, bottom, right))
    return found


def _span(low: int, high: int, limit: int, margin: int, least: int) -> tuple[int, int]:
    """Widen a stretch by the margin, to the least length, within 0 and ``limit``."""
    low, high = max(0, low - margin), min(limit, high + margin)
    if high - low < least:
        low = max(0, min((low + high - least) // 2, limit - least))
        high = min(limit, low + least)
    return low, high


def _tight(mask: Mask, within: Box | None = None) -> Box | None:
    """Give the smallest rectangle around what is marked; None if nothing is."""
    within = within or Box(0, 0, *mask.shape)
    part = mask[within.slices]
    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    if not rows.size:
        return None
    return Box(
        within.top + int(rows[0]),
        within.left + int(columns[0]),
        within.top + int(rows[-1]) + 1,
        within.left + int(columns[-1]) + 1,
    )


def _split(mask: Mask, box: Box | None, margin: float) -> list[Box]:
    """Cut a rectangle in two as long as that saves area, margins counted."""
    if box is None:
        return []

    def cost(part: Box | None) -> float:
        return 0.0 if part is None else (part.size[0] + 2 * margin) * (part.size[1] + 2 * margin)

    pairs = [(_tight(mask, a), _tight(mask, b)) for a, b in _halves(box)]
    best = min(pairs, key=lambda pair: cost(pair[0]) + cost(pair[1]), default=None)
    if best is None or cost(best[0]) + cost(best[1]) > _WORTH * cost(box):
        return [box]
    return [*_split(mask, best[0], margin), *_split(mask, best[1], margin)]


def _halves(box: Box) -> Iterator[tuple[Box, Box]]:
    for row in range(box.top + 1, box.bottom):
        yield (
            Box(box.top, box.left, row, box.right),
            Box(row, box.left, box.bottom, box.right),
        )
    for column in range(box.left + 1, box.right):
        yield (
            Box(box.top, box.left, box.bottom, column),
            Box(box.top, column, box.bottom, box.right),
        )
