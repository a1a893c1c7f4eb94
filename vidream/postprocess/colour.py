"""Colour transfer: the luma of one image with the chroma of another, and matched palettes.

Pure functions on float ``[1, 3, H, W]`` images: gamma-coded RGB in [0, 1], primaries of BT.709.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

_LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709
_MIN_VARIANCE = 1e-4  # added before matching: a hundredth of the range as deviation


def luma(image: Tensor) -> Tensor:
    """Return the luma, BT.709's Y', ``[1, 1, H, W]`` in [0, 1]."""
    red, green, blue = (image[:, k : k + 1] * weight for k, weight in enumerate(_LUMA))
    return red + green + blue


def keep_colour(image: Tensor, frame: Tensor) -> Tensor:
    """Return Y' of an image with Cb and Cr of its frame (BT.709).

    Where no RGB colour is as bright or as dark as that, it is desaturated just as far as it must.
    """
    bright = luma(image)
    # Cb and Cr are multiples of B − Y' and R − Y': to keep both is to keep RGB − Y'.
    chroma = frame - luma(frame)
    headroom = torch.where(chroma > 0, 1 - bright, bright).clamp_min(0)
    share = (headroom / chroma.abs().clamp_min(1e-9)).amin(1, keepdim=True).clamp_max(1)
    return (bright + share * chroma).clamp(0, 1)


@dataclass(frozen=True, slots=True)
class Palette:
    """Mean and covariance of the colours of an image."""

    mean: Tensor = field(repr=False)  # float64 [3], on the CPU
    covariance: Tensor = field(repr=False)  # float64 [3, 3]


def palette(image: Tensor) -> Palette:
    """Return the palette of an image."""
    colours = image[0].flatten(1)
    mean = colours.mean(1, keepdim=True)
    centred = colours - mean
    covariance = centred @ centred.T / centred.shape[1]
    return Palette(mean[:, 0].cpu().double(), covariance.cpu().double())


def match_colour(image: Tensor, target: Palette) -> Tensor:
    """Return an image with the mean and covariance of colour of a target.

    By the linear map that moves its colours least (Monge-Kantorovich; Pitié, Kokaram 2007), with a
    little variance added on both sides: an image of a single colour is not blown up into noise.
    """
    own = palette(image)
    matrix = transfer(own.covariance, target.covariance)
    matrix, before, after = (t.to(image) for t in (matrix, own.mean, target.mean))
    moved = matrix @ (image[0].flatten(1) - before.unsqueeze(1)) + after.unsqueeze(1)
    return moved.view_as(image).clamp_(0, 1)


def transfer(own: Tensor, wanted: Tensor) -> Tensor:
    """Return the symmetric ``T`` with ``T own Tᵀ = wanted``: float64 ``[3, 3]`` matrices all.

    Up to the variance that is added to both; where they are equal ``T`` is the identity.
    """
    least = _MIN_VARIANCE * torch.eye(3, dtype=own.dtype)
    root = _power(own + least, 0.5)
    inverse = _power(own + least, -0.5)
    return inverse @ _power(root @ (wanted + least) @ root, 0.5) @ inverse


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """Return a power of a symmetric positive definite matrix."""
    eigen: tuple[Tensor, Tensor] = torch.linalg.eigh(matrix)
    values, vectors = eigen
    # Rounding may leave an eigenvalue a hair below nothing.
    return (vectors * values.clamp_min(1e-12) ** exponent) @ vectors.T
