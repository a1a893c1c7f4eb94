"""Filters: Gaussian blur; over square windows: means, the guided filter, feathered masks.

Pure functions on ``[B, C, H, W]`` tensors. Windows reach ``radius`` pixels to each side; at the
borders they are smaller, and their means are of what they hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.images.sizes import resize

_STRIP = 2**16  # pixels that are blurred at once: what fits into a cache


def box_sums(padded: Tensor, side: int) -> Tensor:
    """Sum every window of ``side`` × ``side`` pixels, as differences of cumulative sums.

    Args:
        padded: ``[B, C, H + side, W + side]``: the image with one line more above and to the left
            than its first windows reach, so that each sum is the difference of two sums; a
            pooling would take each sum anew.
        side: of the windows, in pixels.

    Returns:
        ``[B, C, H, W]``.
    """
    sums = padded
    for dim in (-1, -2):
        sums = sums.cumsum(dim)
        length = sums.shape[dim] - side
        sums = sums.narrow(dim, side, length) - sums.narrow(dim, 0, length)
    return sums


def box_mean(image: Tensor, radius: int) -> Tensor:
    """Average over the window around each pixel, as far as it lies in the image.

    Args:
        image: ``[B, C, H, W]``, floating point.
        radius: pixels to each side.

    Returns:
        Likewise.
    """
    if radius < 1:
        return image
    height, width = image.shape[-2:]
    sums = box_sums(F.pad(image, (radius + 1, radius) * 2), 2 * radius + 1)
    rows, columns = _held(height, radius, image.device), _held(width, radius, image.device)
    return sums / (rows.view(-1, 1) * columns).to(image.dtype)


def local_mean(image: Tensor, radius: int) -> Tensor:
    """Average over the window around each pixel, the border of the image repeated beyond it.

    Args:
        image: ``[B, C, H, W]``, floating point.
        radius: pixels to each side.
    """
    side = 2 * radius + 1
    return box_sums(F.pad(image, (radius + 1, radius) * 2, mode="replicate"), side) / side**2


def _held(length: int, radius: int, device: torch.device) -> Tensor:
    """Count, ``[length]``, the lines of the image that the window around each of them holds."""
    lines = torch.arange(length, device=device)
    return (lines + radius).clamp_max(length - 1) - (lines - radius).clamp_min(0) + 1


def guided_filter(
    guide: Tensor, image: Tensor, radius: int, eps: float, subsample: int = 1
) -> Tensor:
    """Smooth an image, but not across the edges of a guide.

    In each window the image is fitted by a line in the guide, ``a · guide + b``, in least squares
    with a penalty of ``eps`` on ``a²``; each pixel is the mean of what the windows that hold it say
    (He, Sun, Tang 2013). With ``subsample`` the lines are fitted on a smaller grid and applied at
    full size (He, Sun 2015, "Fast Guided Filter").

    Args:
        guide: ``[B, 1, H, W]`` or ``[B, 3, H, W]``, in [0, 1].
        image: ``[B, C, H, W]``; its range is kept, but for a little overshoot.
        radius: of the windows, in pixels.
        eps: variance of the guide from which an edge counts as one, over 0.
        subsample: pixels of the image per pixel of the grid of fits, each way; 1 = exact.

    Returns:
        ``[B, C, H, W]`` in the type of ``image``.

    Raises:
        ValueError: the guide has neither one channel nor three, or is of another size.
    """
    if guide.shape[1] not in (1, 3) or guide.shape[-2:] != image.shape[-2:]:
        raise ValueError(f"guide {list(guide.shape)} for an image {list(image.shape)}")
    size = (int(image.shape[-2]), int(image.shape[-1]))
    small = (max(1, round(size[0] / subsample)), max(1, round(size[1] / subsample)))
    reach = max(1, round(radius / subsample))
    lines = _lines(_wide(resize(guide, small)), _wide(resize(image, small)), reach, eps)
    slopes, offsets = (part.to(image.dtype) for part in lines)
    # One channel after another: the slopes of all at full size would be several images.
    fitted = [(resize(s, size) * guide).sum(1) for s in _apart(slopes, guide).unbind(1)]
    return torch.stack(fitted, 1).add_(resize(offsets, size))


def _wide(image: Tensor) -> Tensor:
    """Give the image in double precision, where the device has it.

    A variance is the small difference of two means, which are small differences of long sums.
    """
    return image if image.device.type == "mps" else image.double()


def _lines(guide: Tensor, image: Tensor, radius: int, eps: float) -> tuple[Tensor, Tensor]:
    """Fit a line in each window; give the mean slopes, ``[B, C · G, H, W]``, and offsets."""
    mean, wanted = box_mean(guide, radius), box_mean(image, radius)
    squares = box_mean(_products(guide, guide), radius) - _products(mean, mean)
    varying = _apart(squares, guide)
    varying.diagonal(dim1=1, dim2=2).add_(eps)
    together = box_mean(_products(guide, image), radius) - _products(mean, wanted)
    slopes = _solve(varying, _apart(together, guide))
    offsets = wanted - (slopes * mean.unsqueeze(1)).sum(2)
    return box_mean(slopes.flatten(1, 2), radius), box_mean(offsets, radius)


def _products(guide: Tensor, image: Tensor) -> Tensor:
    """Multiply every channel of the image by every one of the guide, ``[B, C · G, H, W]``."""
    return (image.unsqueeze(2) * guide.unsqueeze(1)).flatten(1, 2)


def _apart(products: Tensor, guide: Tensor) -> Tensor:
    """Give ``[B, C · G, H, W]`` as ``[B, C, G, H, W]``."""
    batch, both, height, width = products.shape
    return products.view(batch, both // guide.shape[1], guide.shape[1], height, width)


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve a symmetric positive definite system of one or three unknowns at every pixel.

    By cofactors: a library's solver takes the matrices one after another.

    Args:
        matrix: ``[B, G, G, H, W]``.
        right: ``[B, C, G, H, W]``.
    """
    if matrix.shape[1] == 1:
        return right / matrix
    (a, b, c), (_, d, e), (_, _, f) = (row.unbind(1) for row in matrix.unbind(1))
    ab, ac, bc = c * e - b * f, b * e - c * d, b * c - a * e
    rows = ((d * f - e * e, ab, ac), (ab, a * f - c * c, bc), (ac, bc, a * d - b * b))
    determinant = a * rows[0][0] + b * ab + c * ac
    solved = [(torch.stack(row, 1).unsqueeze(1) * right).sum(2) for row in rows]
    return torch.stack(solved, 2) / determinant[:, None, None]


def feather(mask: Tensor, width: int) -> Tensor:
    """Soften the edges of a mask on their inner side: what was 0 stays 0.

    Each pixel sinks to the least in its window, and these are averaged over the same window: the
    result is nowhere more than the mask. The frame's own border is no edge.

    Args:
        mask: ``[B, 1, H, W]`` in [0, 1].
        width: of the ramp, in pixels.
    """
    radius = (width + 1) // 2
    if radius < 1:
        return mask
    side = 2 * radius + 1
    # Rows, then columns: the least of a square is the least of the least of its rows.
    least = -F.max_pool2d(-mask, (1, side), 1, (0, radius))
    least = -F.max_pool2d(-least, (side, 1), 1, (radius, 0))
    # A window of zeros is the difference of two equal sums: exactly nothing.
    return box_mean(least, radius).clamp(0, 1)


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Blur with a Gaussian of ``sigma`` pixels; 0 returns the image itself."""
    if sigma <= 0:
        return image
    height, width = image.shape[-2:]
    # Reflection needs more image than border; a tiny octave gets a shorter kernel.
    reach = min(math.ceil(3 * sigma), height - 1, width - 1)
    weights = [math.exp(-0.5 * (x / sigma) ** 2) for x in range(reach + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    kernel = [weight / total for weight in weights]
    padded = F.pad(image, (reach, reach, reach, reach), mode="reflect")
    result = torch.empty_like(image)
    rows = max(1, _STRIP // width) if image.device.type == "cpu" else height
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
