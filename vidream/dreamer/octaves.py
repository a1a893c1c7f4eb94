"""Octaves: their sizes, and the smoothing and normalisation of gradients.

Pure functions on ``[B, C, H, W]`` tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.images import Size, resize

_STRIP = 2**16  # pixels that are smoothed at once: what fits into a cache
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


def smooth(gradient: Tensor, sigma: float) -> Tensor:
    """Blur with a Gaussian of ``sigma`` pixels; 0 leaves the gradient as it is."""
    if sigma <= 0:
        return gradient
    height, width = gradient.shape[-2:]
    # Reflection needs more image than border; a tiny octave gets a shorter kernel.
    reach = min(math.ceil(3 * sigma), height - 1, width - 1)
    weights = [math.exp(-0.5 * (x / sigma) ** 2) for x in range(reach + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    kernel = [weight / total for weight in weights]
    padded = F.pad(gradient, (reach, reach, reach, reach), mode="reflect")
    result = torch.empty_like(gradient)
    rows = max(1, _STRIP // width) if gradient.device.type == "cpu" else height
    for top in range(0, height, rows):
        strip = padded[..., top : top + rows + 2 * reach, :]
        result[..., top : top + rows, :] = _blur(_blur(strip, kernel, -2), kernel, -1)
    return result


def _blur(image: Tensor, kernel: Sequence[float], dim: int) -> Tensor:
    """Blur along one dimension; ``kernel`` is the half of it that begins at its middle.

    As a sum of shifted images: oneDNN blows the three channels of a convolution up to sixteen.
    """
    reach = len(kernel) - 1
    length = image.shape[dim] - 2 * reach
    blurred = kernel[0] * image.narrow(dim, reach, length)
    for by in range(1, reach + 1):
        blurred.add_(image.narrow(dim, reach - by, length), alpha=kernel[by])
        blurred.add_(image.narrow(dim, reach + by, length), alpha=kernel[by])
    return blurred


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
