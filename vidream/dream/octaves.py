"""The sizes that an image is dreamed at."""

from __future__ import annotations

import math

from vidream.core.images import Size


def octave_sizes(size: Size, octaves: int, scale: float, minimum: int) -> list[Size]:
    """Return the sizes to dream at, from small to large, ending with ``size``.

    Octaves whose shorter side is under ``minimum`` are left out; an image under it is dreamed
    enlarged to it.
    """
    height, width = size
    short = min(size)
    if short < minimum:
        grow = minimum / short
        return [(math.ceil(height * grow), math.ceil(width * grow))]
    shrinks = [scale**-k for k in reversed(range(octaves))]
    sizes = [(round(height * s), round(width * s)) for s in shrinks]
    return [s for s in sizes if min(s) >= minimum]
