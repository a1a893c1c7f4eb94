"""Tiles: how an image too large for memory is cut so that its gradient stays the same.

Pure geometry, in pixels. Each tile *answers for* a rectangle, and these cover the image once; to
do so it *looks at* a larger one, as far as a cell of the network sees beyond its own pixels. Both
begin where a cell begins, so that the cells of a tile are cells of the image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from types import EllipsisType

from vidream.images import Size


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a tile: it looks at ``start``…``stop`` and answers for ``first``…``last``."""

    start: int
    first: int
    last: int
    stop: int

    @property
    def length(self) -> int:
        """Pixels that are looked at."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of an image."""

    rows: Span
    columns: Span

    @property
    def area(self) -> int:
        """Pixels that are looked at."""
        return self.rows.length * self.columns.length

    @property
    def outer(self) -> tuple[EllipsisType, slice, slice]:
        """What selects all that is looked at from ``[..., H, W]``."""
        rows, columns = self.rows, self.columns
        return ..., slice(rows.start, rows.stop), slice(columns.start, columns.stop)


@dataclass(frozen=True, slots=True)
class Halo:
    """What a network asks of tiles, along either axis.

    Args:
        stride: pixels after which its cells repeat; tiles begin at multiples of it.
        before: pixels to look at before those that a tile answers for.
        after: pixels to look at after them.
        least: shortest side that the network takes.
    """

    stride: int
    before: int
    after: int
    least: int = 1

    @property
    def lead(self) -> int:
        """``before``, up to the next multiple of the stride."""
        return _up(self.before, self.stride)


def spans(length: int, pieces: int, halo: Halo) -> list[Span]:
    """Cut one axis into pieces that look at about equally many pixels.

    Args:
        length: of the axis.
        pieces: how many there should be; fewer if they would answer for next to nothing.
        halo: what the network asks for.
    """
    around = halo.lead + halo.after
    pieces = min(pieces, most_pieces(length, halo))
    inner = (length + (pieces - 1) * around) / pieces - around
    edges = [0]
    for k in range(1, pieces):
        edges.append(_up(math.floor(k * inner + halo.lead), halo.stride))
    edges.append(length)
    return [_span(first, last, length, halo) for first, last in pairwise(edges)]


def _span(first: int, last: int, length: int, halo: Halo) -> Span:
    stop = min(length, last + halo.after)
    start = max(0, first - halo.lead)
    if stop - start < halo.least:
        start = max(0, (stop - halo.least) // halo.stride * halo.stride)
        stop = min(length, max(stop, start + halo.least))
    return Span(start, first, last, stop)


def most_pieces(length: int, halo: Halo) -> int:
    """Give the number of pieces from which more would answer for next to nothing."""
    # Pieces look at a halo on both sides, but for the ends, and answer for as much again: less
    # would more than quadruple the work.
    around = halo.lead + halo.after
    return max(1, (length - around) // max(around, 2 * halo.stride))


def cut(size: Size, room: float, halo: Halo) -> list[Tile]:
    """Cut an image so that no tile looks at more than ``room`` pixels, and all at the fewest.

    Args:
        size: height and width of the image.
        room: pixels that fit into memory.
        halo: what the network asks for.

    Returns:
        The tiles, row by row; the smallest that there can be, if not even they fit.
    """
    best: tuple[int, list[Tile]] | None = None
    widths = [spans(size[1], n, halo) for n in range(1, most_pieces(size[1], halo) + 1)]
    for count in range(1, most_pieces(size[0], halo) + 1):
        rows = spans(size[0], count, halo)
        tall = max(span.length for span in rows)
        columns = next((c for c in widths if tall * max(s.length for s in c) <= room), None)
        if columns is None:
            continue
        cost = sum(s.length for s in rows) * sum(s.length for s in columns)
        if best is None or cost < best[0]:
            best = cost, list(_product(rows, columns))
    if best is None:
        return list(_product(spans(size[0], size[0], halo), widths[-1]))
    return best[1]


def _product(rows: list[Span], columns: list[Span]) -> Iterator[Tile]:
    for row in rows:
        for column in columns:
            yield Tile(row, column)


def own_cells(span: Span, stride: int, count: int, length: int) -> tuple[slice, slice]:
    """Tell which cells of a layer a piece answers for.

    Args:
        span: the piece.
        stride: of the layer, in pixels; its multiple is the halo's.
        count: cells along the whole axis.
        length: of the axis, in pixels.

    Returns:
        What selects them from the piece's own cells, and from those of the whole image.
    """
    first = min(count, span.first // stride)
    # There may be fewer or more cells than strides: borders are trimmed or padded.
    last = count if span.last == length else min(count, span.last // stride)
    base = span.start // stride
    return slice(first - base, last - base), slice(first, last)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
