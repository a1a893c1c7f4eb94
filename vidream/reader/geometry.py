"""Which way up a picture is, and what shape: orientation, square pixels, and room within a size."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

_NEARLY = Fraction(1, 50)  # by how much a shape may be off and still be taken for the same
_MOST = 4  # pixels longer than this are a wrong header and no pixels


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture becomes an upright one: transposed first, then mirrored.

    Args:
        transposed: rows become columns.
        mirrored: left and right change places.
        flipped: top and bottom change places.
    """

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    @property
    def filters(self) -> list[tuple[str, str]]:
        """FFmpeg's filters that do it, with their arguments."""
        steps = [("transpose", "cclock_flip")] if self.transposed else []  # transposes, no more
        steps += [("hflip", "")] if self.mirrored else []
        return steps + ([("vflip", "")] if self.flipped else [])


def orientation(matrix: bytes) -> Orientation:
    """Read a display matrix: nine int32, as MP4 and FFmpeg have them.

    The right angle, or mirror image, that is nearest is taken: phones record nothing else. Without
    a matrix a picture is upright.
    """
    if len(matrix) < 36:
        return Orientation()
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, c < 0, b < 0)
    return Orientation(False, a < 0, d < 0)


def shape(width: int, height: int, aspect: Fraction | None) -> Fraction:
    """Give width over height as it is to be seen, of a picture whose pixels have this aspect."""
    if not aspect or not Fraction(1, _MOST) <= aspect <= _MOST:
        aspect = Fraction(1)
    return Fraction(width, height) * aspect


def square(width: int, height: int, seen: Fraction) -> tuple[int, int]:
    """Give the size in square pixels of a picture that is to be seen in a shape.

    The side that has too few pixels grows, to an even number; the other stays, so that nothing is
    lost. Where that changes next to nothing the size stays as it is.
    """
    stretch = seen * height / width
    if abs(stretch - 1) < _NEARLY:
        return width, height
    if stretch > 1:
        return 2 * round(height * seen / 2), height
    return width, 2 * round(width / seen / 2)


def within(size: tuple[int, int], seen: Fraction) -> tuple[int, int]:
    """Give the largest size of a shape that has room in a size."""
    width, height = size
    stretch = seen * height / width
    if abs(stretch - 1) < _NEARLY:
        return size
    if stretch > 1:
        return width, max(1, round(width / seen))
    return max(1, round(height * seen)), height


def pixel_aspect(size: tuple[int, int], seen: Fraction) -> Fraction:
    """Give width over height of the pixels that show a shape in a size; 1 if it is nearly so."""
    aspect = seen * size[1] / size[0]
    return Fraction(1) if abs(aspect - 1) < _NEARLY else aspect.limit_denominator(10_000)
