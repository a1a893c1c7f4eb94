"""Preconditioning: ascent in decorrelated coordinates (Olah et al. 2017, *Feature Visualization*).

Channels are mixed by the colour covariance of natural images, and low frequencies weighted up. Both
maps are symmetric and positive definite, so that every step still ascends.
"""

import torch
from torch import Tensor

from vidream.core.filters import gaussian_blur
from vidream.core.images import resize, size_of
from vidream.core.settings import DreamSettings

LEVELS = 4
"""Octaves of frequency with a weight each; lower ones share the last weight."""

# Square root of the covariance of R, G and B in natural images (Olah et al. 2017, *lucid*).
_COLOR_ROOT = torch.tensor(
    [[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], dtype=torch.float64
)


def precondition(gradient: Tensor, settings: DreamSettings) -> Tensor:
    """Return the direction of the step, not normalized, from a ``[B, 3, H, W]`` gradient."""
    gradient = gaussian_blur(gradient, settings.smoothing)
    # Natural grey has a tint.
    if not settings.grey:
        gradient = decorrelate_color(gradient, settings.color)
    return weight_bands(gradient, settings.detail)


def color_matrix(color: float) -> Tensor:
    """Interpolate from the identity to the covariance of natural images, ``[3, 3]``, trace 3."""
    covariance = _COLOR_ROOT @ _COLOR_ROOT.T
    covariance = covariance * (3 / covariance.trace())
    return (torch.eye(3, dtype=torch.float64).lerp(covariance, color)).float()


def decorrelate_color(gradient: Tensor, color: float) -> Tensor:
    """Mix the channels by :func:`color_matrix`."""
    if color == 0:
        return gradient
    return torch.einsum("ij,bjhw->bihw", color_matrix(color).to(gradient), gradient)


def band_weights(detail: float) -> list[float]:
    """Return the weight of each band, finest first: 1/f⁰ at detail 1, 1/f at 0.5, 1/f² at 0."""
    falloff = 2 * (1 - detail)
    return [2 ** (falloff * level) for level in range(LEVELS + 1)]


def weight_bands(gradient: Tensor, detail: float) -> Tensor:
    """Weight the bands of a Laplacian pyramid (Burt and Adelson 1983) by :func:`band_weights`."""
    if detail == 1:
        return gradient
    weights = band_weights(detail)
    # A weighted sum of the Gaussian levels; downsampling is the adjoint of upsampling.
    levels = [gradient]
    for _ in weights[1:]:
        height, width = levels[-1].shape[-2:]
        levels.append(resize(levels[-1], (-(-height // 2), -(-width // 2))))
    total = levels.pop() * (weights[-1] - weights[-2])
    for level, weight, finer in zip(
        reversed(levels), reversed(weights[:-1]), [*reversed(weights[:-2]), 0.0], strict=True
    ):
        total = resize(total, size_of(level)).add_(level, alpha=weight - finer)
    return total
