"""Orientation and aspect ratio of images."""

import struct
from dataclasses import dataclass
from fractions import Fraction

_NEARLY = Fraction(1, 50)  # by how much a shape may be off and still be taken for the same
_MOST = 4  # pixels longer than this are a wrong header and no pixels


@dataclass(frozen=True, slots=True)
class Orientation:
    """From a stored image to an upright one: transposed first, then mirrored and flipped."""

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    @property
    def filters(self) -> list[tuple[str, str]]:
        """FFmpeg's filters, with their arguments."""
        steps = [("transpose", "cclock_flip")] if self.transposed else []  # transposes, no more
        steps += [("hflip", "")] if self.mirrored else []
        return steps + ([("vflip", "")] if self.flipped else [])


def orientation(matrix: bytes) -> Orientation:
    """Return the right-angled orientation nearest to a display matrix of nine int32, as in MP4."""
    if len(matrix) < 36:
        return Orientation()
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, c < 0, b < 0)
    return Orientation(False, a < 0, d < 0)


def aspect_ratio(width: int, height: int, aspect: Fraction | None) -> Fraction:
    """Return the display aspect ratio of an image with this sample aspect ratio."""
    if not aspect or not Fraction(1, _MOST) <= aspect <= _MOST:
        aspect = Fraction(1)
    return Fraction(width, height) * aspect


def square_size(width: int, height: int, seen: Fraction) -> tuple[int, int]:
    """Return the size in square pixels; one side grows, to an even number, if need be."""
    stretch = seen * height / width
    if abs(stretch - 1) < _NEARLY:
        return width, height
    if stretch > 1:
        return 2 * round(height * seen / 2), height
    return width, 2 * round(width / seen / 2)


def size_within(size: tuple[int, int], seen: Fraction) -> tuple[int, int]:
    """Return the largest size of an aspect ratio that fits into a size."""
    width, height = size
    stretch = seen * height / width
    if abs(stretch - 1) < _NEARLY:
        return size
    if stretch > 1:
        return width, max(1, round(width / seen))
    return max(1, round(height * seen)), height


def pixel_aspect(size: tuple[int, int], seen: Fraction) -> Fraction:
    """Return the sample aspect ratio that shows a size in a display aspect ratio."""
    aspect = seen * size[1] / size[0]
    return Fraction(1) if abs(aspect - 1) < _NEARLY else aspect.limit_denominator(10_000)
