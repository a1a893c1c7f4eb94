"""Tiles of an image too large for memory, under which the gradient stays the same.

Each tile *owns* a rectangle, and these cover the image once; it *sees* a larger one, that of the
receptive fields of its cells. Both begin where a cell begins. All in pixels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import EllipsisType

from torch import Tensor

from vidream.core.images import Size

Cells = tuple[slice, slice, slice, slice]
"""Selects cells from activations ``[B, C, h, w]``."""


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a tile: it sees ``start``…``stop`` and owns ``first``…``last``."""

    start: int
    first: int
    last: int
    stop: int

    @property
    def length(self) -> int:
        """Pixels that are seen."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of an image."""

    rows: Span
    columns: Span

    @property
    def area(self) -> int:
        """Pixels that are seen."""
        return self.rows.length * self.columns.length

    @property
    def outer(self) -> tuple[EllipsisType, slice, slice]:
        """Selects all that is seen from ``[..., H, W]``."""
        rows, columns = self.rows, self.columns
        return ..., slice(rows.start, rows.stop), slice(columns.start, columns.stop)


@dataclass(frozen=True, slots=True)
class Halo:
    """What a network needs of tiles, along either axis, in pixels."""

    stride: int  # tiles begin at multiples of it
    before: int  # to see before those that a tile owns
    after: int  # to see after them
    least: int = 1  # shortest side that the network takes

    @property
    def lead(self) -> int:
        """``before``, up to the next multiple of the stride."""
        return _up(self.before, self.stride)


def spans(length: int, pieces: int, halo: Halo) -> list[Span]:
    """Cut one axis into at most ``pieces`` that see about equally many pixels."""
    around = halo.lead + halo.after
    pieces = min(pieces, most_pieces(length, halo))
    inner = (length + (pieces - 1) * around) / pieces - around
    cuts = (_up(math.floor(k * inner + halo.lead), halo.stride) for k in range(1, pieces))
    return [_span(first, last, length, halo) for first, last in pairwise([0, *cuts, length])]


def _span(first: int, last: int, length: int, halo: Halo) -> Span:
    stop = min(length, last + halo.after)
    start = max(0, first - halo.lead)
    if stop - start < halo.least:
        start = max(0, (stop - halo.least) // halo.stride * halo.stride)
        stop = min(length, max(stop, start + halo.least))
    return Span(start, first, last, stop)


def most_pieces(length: int, halo: Halo) -> int:
    """Return the number of pieces beyond which their halos outweigh what they own."""
    # Fewer pixels than the halo's would more than quadruple the work.
    around = halo.lead + halo.after
    return max(1, (length - around) // max(around, 2 * halo.stride))


def cut(size: Size, max_area: float, halo: Halo) -> list[Tile]:
    """Cut an image into tiles of up to ``max_area`` pixels, the fewest in all, row by row.

    Returns the smallest possible if not even they fit.
    """
    best: tuple[int, list[Span], list[Span]] | None = None
    widths = [spans(size[1], n, halo) for n in range(1, most_pieces(size[1], halo) + 1)]
    for count in range(1, most_pieces(size[0], halo) + 1):
        rows = spans(size[0], count, halo)
        tall = max(span.length for span in rows)
        columns = next((c for c in widths if tall * max(s.length for s in c) <= max_area), None)
        if columns is None:
            continue
        cost = sum(s.length for s in rows) * sum(s.length for s in columns)
        if best is None or cost < best[0]:
            best = cost, rows, columns
    rows, columns = best[1:] if best else (spans(size[0], size[0], halo), widths[-1])
    return [Tile(row, column) for row in rows for column in columns]


@dataclass(frozen=True, slots=True)
class CellTile:
    """A tile, and the cells of each layer that it owns."""

    outer: tuple[EllipsisType, slice, slice]  # selects all that it sees from [B, C, H, W]
    owned: Mapping[str, tuple[Cells, Cells]]  # its cells among those that it sees, and among all

    def own(self, activations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the activations of the cells that it owns."""
        return {name: activations[name][inner] for name, (inner, _) in self.owned.items()}


def assign_cells(
    tiles: Sequence[Tile], strides: Mapping[str, int], grids: Mapping[str, Size], size: Size
) -> list[CellTile]:
    """Assign each cell of the layers in ``strides`` to one tile; leave out tiles that own none.

    ``grids`` has the rows and columns of each layer on an image of ``size``.
    """
    parts = []
    for tile in tiles:
        owned = {}
        for name, stride in strides.items():
            rows = own_cells(tile.rows, stride, grids[name][0], size[0])
            columns = own_cells(tile.columns, stride, grids[name][1], size[1])
            inner, outer = ((slice(None), slice(None), rows[k], columns[k]) for k in (0, 1))
            owned[name] = inner, outer
        if any(all(axis.start < axis.stop for axis in outer[2:]) for _, outer in owned.values()):
            parts.append(CellTile(tile.outer, owned))
    return parts


def own_cells(span: Span, stride: int, count: int, length: int) -> tuple[slice, slice]:
    """Return the cells that a piece owns, among those that it sees, and among all ``count``."""
    first = min(count, span.first // stride)
    # There may be fewer or more cells than strides: borders are trimmed or padded.
    last = count if span.last == length else min(count, span.last // stride)
    base = span.start // stride
    return slice(first - base, last - base), slice(first, last)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
