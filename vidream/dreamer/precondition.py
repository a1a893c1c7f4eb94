"""Preconditioning: the same ascent in coordinates in which pictures are natural.

Ascent in raw RGB pixels is steepest in what eyes and optical flow dislike: high frequencies and
opponent colours. The gradient in decorrelated coordinates is that of the same objective under
another metric (Olah, Mordvintsev, Schubert 2017, *Feature Visualization*): channels are mixed by
the colour covariance of natural images, and bands are weighted towards low frequencies. Both maps
are symmetric and positive definite, so that every step still goes up.

Pure functions on ``[B, 3, H, W]`` gradients of whole images: what is seen in tiles is put together
first.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vidream.images import resize
from vidream.images.filters import gaussian_blur
from vidream.settings import DreamSettings

LEVELS = 4
"""Octaves of frequency that are told apart; what is lower than the last has its weight."""

# Square root of the covariance of R, G and B in natural images (Olah et al. 2017, *lucid*), scaled
# so that the trace of its square is 3, as that of no mixing.
_COLOR_ROOT = torch.tensor(
    [[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], dtype=torch.float64
)


def precondition(gradient: Tensor, settings: DreamSettings) -> Tensor:
    """Return the direction to step in, not normalised, from the gradient in RGB pixels.

    Args:
        gradient: ``[B, 3, H, W]``.
        settings: ``smoothing``, ``color``, ``grey`` and ``detail`` count.
    """
    gradient = gaussian_blur(gradient, settings.smoothing)
    # What grows in grey is to stay grey; natural grey has a tint.
    if not settings.grey:
        gradient = decorrelate_color(gradient, settings.color)
    return weight_bands(gradient, settings.detail)


def color_matrix(color: float) -> Tensor:
    """Return the matrix that mixes channels, float32 ``[3, 3]``, symmetric, of trace 3.

    Args:
        color: 0 leaves them as they are, 1 mixes them as natural images do: nearly grey.
    """
    covariance = _COLOR_ROOT @ _COLOR_ROOT.T
    covariance = covariance * (3 / covariance.trace())
    return (torch.eye(3, dtype=torch.float64).lerp(covariance, color)).float()


def decorrelate_color(gradient: Tensor, color: float) -> Tensor:
    """Mix the channels of ``[B, 3, H, W]`` by :func:`color_matrix`."""
    if color == 0:
        return gradient
    matrix = color_matrix(color).to(gradient)
    return torch.einsum("ij,bjhw->bihw", matrix, gradient)


def band_weights(detail: float) -> list[float]:
    """Return the weight of each band, the finest first, and of what is below all of them.

    Args:
        detail: 1 weights all alike, 0.5 by 1/f, 0 by 1/f².
    """
    falloff = 2 * (1 - detail)
    return [2 ** (falloff * level) for level in range(LEVELS + 1)]


def weight_bands(gradient: Tensor, detail: float) -> Tensor:
    """Weight the bands of a Laplacian pyramid (Burt and Adelson 1983) by :func:`band_weights`.

    The pyramid is never laid out: a weighted sum of bands, differences of neighbouring levels, is
    a weighted sum of levels. Each is half the size of the one before, blurred by [1, 3, 3, 1] / 8,
    which is the adjoint of the way up.

    Args:
        gradient: ``[B, C, H, W]``.
        detail: see :func:`band_weights`.
    """
    if detail == 1:
        return gradient
    weights = band_weights(detail)
    levels = [gradient]
    for _ in weights[1:]:
        height, width = levels[-1].shape[-2:]
        levels.append(resize(levels[-1], (-(-height // 2), -(-width // 2))))
    total = levels.pop() * (weights[-1] - weights[-2])
    for level, weight, finer in zip(
        reversed(levels), reversed(weights[:-1]), [*reversed(weights[:-2]), 0.0], strict=True
    ):
        total = resize(total, (level.shape[-2], level.shape[-1])).add_(level, alpha=weight - finer)
    return total
