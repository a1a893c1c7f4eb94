"""Octaves: their sizes, and the normalisation of gradients.

Pure functions on ``[B, C, H, W]`` tensors.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.images import Size, resize

_TINY = 1e-8  # keeps a flat gradient from being divided by zero


def octave_sizes(size: Size, octaves: int, scale: float, minimum: int) -> list[Size]:
    """Give the sizes to dream at, from small to large, ending with ``size``.

    Octaves whose shorter side would fall under ``minimum`` (what the network can take) are left
    out. A frame that is itself under it is dreamed at the smallest size that is not, in its own
    proportions, and only the detail is brought back.
    """
    height, width = size
    short = min(size)
    if short < minimum:
        grow = minimum / short
        return [(math.ceil(height * grow), math.ceil(width * grow))]
    shrinks = [scale**-k for k in reversed(range(octaves))]
    sizes = [(round(height * s), round(width * s)) for s in shrinks]
    return [s for s in sizes if min(s) >= minimum]


def normalize_locally(gradient: Tensor, by: str, reach: int = 48) -> Tensor:
    """Divide by the size of the gradient around each pixel, as :func:`normalize` does overall.

    Where little is left to gain the gradient is small: dividing by the overall size would leave
    weak ground behind for ever, and that is where carried dreams need their steps.

    Args:
        gradient: ``[1, C, H, W]``.
        by: ``"mean"`` or ``"std"``.
        reach: pixels over which the size is averaged.
    """
    height, width = gradient.shape[-2:]
    sizes = gradient.square() if by == "std" else gradient.abs()
    grid = (max(1, round(height / reach)), max(1, round(width / reach)))
    around = F.adaptive_avg_pool2d(sizes.mean(1, keepdim=True), grid)
    # A floor, so that flat ground of which the network sees nothing does not become noise.
    around = torch.maximum(around, 0.05 * around.mean())
    around = resize(around, (height, width))
    return gradient / ((around.sqrt() if by == "std" else around) + _TINY)


def normalize(gradient: Tensor, by: str) -> Tensor:
    """Divide by the mean absolute value (``"mean"``) or the standard deviation (``"std"``)."""
    size = gradient.std() if by == "std" else gradient.abs().mean()
    return gradient / (size + _TINY)
