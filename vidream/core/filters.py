"""Gaussian blur, box means, guided filter, feathering, on ``[B, C, H, W]`` tensors.

Windows extend ``radius`` pixels to each side.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.images import resize, size_of

_STRIP = 2**16  # pixels that are blurred at once: what fits into a cache


def box_sums(padded: Tensor, side: int) -> Tensor:
    """Return the sums of all windows of ``side`` × ``side`` pixels, ``[B, C, H, W]``.

    From ``[B, C, H + side, W + side]``: one more line above and left of the first windows.
    """
    sums = padded
    for dim in (-1, -2):
        sums = sums.cumsum(dim)
        length = sums.shape[dim] - side
        sums = sums.narrow(dim, side, length) - sums.narrow(dim, 0, length)
    return sums


def box_mean(image: Tensor, radius: int) -> Tensor:
    """Return the mean over the part of the window around each pixel that is inside the image."""
    if radius < 1:
        return image
    height, width = image.shape[-2:]
    sums = box_sums(F.pad(image, (radius + 1, radius) * 2), 2 * radius + 1)
    rows, columns = _held(height, radius, image.device), _held(width, radius, image.device)
    return sums / (rows.view(-1, 1) * columns).to(image.dtype)


def local_mean(image: Tensor, radius: int) -> Tensor:
    """Return the mean over the window around each pixel, the image's border replicated."""
    side = 2 * radius + 1
    return box_sums(F.pad(image, (radius + 1, radius) * 2, mode="replicate"), side) / side**2


def _held(length: int, radius: int, device: torch.device) -> Tensor:
    lines = torch.arange(length, device=device)
    return (lines + radius).clamp_max(length - 1) - (lines - radius).clamp_min(0) + 1


def guided_filter(
    guide: Tensor, image: Tensor, radius: int, eps: float, subsample: int = 1
) -> Tensor:
    """Smooth an image, but not across the edges of a guide.

    He, Sun, Tang 2013: each window fits ``a · guide + b`` to the image in least squares, with the
    penalty ``eps · a²``, and each pixel is the mean over its windows. With ``subsample`` the fit is
    on a smaller grid (He, Sun 2015, "Fast Guided Filter").

    Args:
        guide: ``[B, 1 or 3, H, W]``, in [0, 1].
        image: ``[B, C, H, W]``; the result may overshoot its range a little.
        radius: in pixels.
        eps: variance of the guide from which an edge counts as one, over 0.
        subsample: pixels per pixel of the smaller grid, each way; 1 = exact.

    Raises:
        ValueError: the guide has another number of channels, or another size than the image.
    """
    if guide.shape[1] not in (1, 3) or guide.shape[-2:] != image.shape[-2:]:
        raise ValueError(f"guide {list(guide.shape)} for an image {list(image.shape)}")
    size = size_of(image)
    small = (max(1, round(size[0] / subsample)), max(1, round(size[1] / subsample)))
    reach = max(1, round(radius / subsample))
    lines = _lines(_wide(resize(guide, small)), _wide(resize(image, small)), reach, eps)
    slopes, offsets = (part.to(image.dtype) for part in lines)
    # One channel after another: the slopes of all at full size would be several images.
    fitted = [(resize(s, size) * guide).sum(1) for s in _apart(slopes, guide).unbind(1)]
    return torch.stack(fitted, 1).add_(resize(offsets, size))


def _wide(image: Tensor) -> Tensor:
    return image if image.device.type == "mps" else image.double()


def _lines(guide: Tensor, image: Tensor, radius: int, eps: float) -> tuple[Tensor, Tensor]:
    """Return the mean slopes, ``[B, C · G, H, W]``, and offsets of each window's fit."""
    mean, wanted = box_mean(guide, radius), box_mean(image, radius)
    squares = box_mean(_products(guide, guide), radius) - _products(mean, mean)
    varying = _apart(squares, guide)
    varying.diagonal(dim1=1, dim2=2).add_(eps)
    together = box_mean(_products(guide, image), radius) - _products(mean, wanted)
    slopes = _solve(varying, _apart(together, guide))
    offsets = wanted - (slopes * mean.unsqueeze(1)).sum(2)
    return box_mean(slopes.flatten(1, 2), radius), box_mean(offsets, radius)


def _products(guide: Tensor, image: Tensor) -> Tensor:
    """Return the products of all channels of both, ``[B, C · G, H, W]``."""
    return (image.unsqueeze(2) * guide.unsqueeze(1)).flatten(1, 2)


def _apart(products: Tensor, guide: Tensor) -> Tensor:
    """Return ``[B, C · G, H, W]`` as ``[B, C, G, H, W]``."""
    batch, both, height, width = products.shape
    return products.view(batch, both // guide.shape[1], guide.shape[1], height, width)


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve a symmetric positive definite system of one or three unknowns at every pixel.

    By cofactors: a library's solver takes the matrices, ``[B, G, G, H, W]``, one after another.
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
    """Soften the inner edges of a mask, ``[B, 1, H, W]``, over ``width`` pixels.

    Erosion, then a mean, so that it grows nowhere. The frame's border is no edge.
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
    """Blur with a Gaussian of ``sigma`` pixels, borders reflected; 0 returns the image itself."""
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
    """Blur along one dimension; ``kernel`` is its second half, from the middle.

    As a sum of shifted images: oneDNN pads the three channels of a convolution to sixteen.
    """
    reach = len(kernel) - 1
    length = image.shape[dim] - 2 * reach
    blurred = kernel[0] * image.narrow(dim, reach, length)
    for by in range(1, reach + 1):
        blurred.add_(image.narrow(dim, reach - by, length), alpha=kernel[by])
        blurred.add_(image.narrow(dim, reach + by, length), alpha=kernel[by])
    return blurred
