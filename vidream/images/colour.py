"""Colour: brightness of one picture with the colour of another, and colours made to match.

Pure functions on float ``[1, 3, H, W]`` tensors, RGB in [0, 1] as it is stored: gamma-coded, with
the primaries of BT.709, which are those of sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

_LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709
_LEAST = 1e-4  # variance added before matching, a hundredth of the range as deviation


def luma(image: Tensor) -> Tensor:
    """Give the brightness, BT.709's Y', ``[1, 1, H, W]`` in [0, 1]."""
    red, green, blue = (image[:, k : k + 1] * weight for k, weight in enumerate(_LUMA))
    return red + green + blue


def keep_colour(dream: Tensor, source: Tensor) -> Tensor:
    """Give the brightness of the dream with the colour of the source.

    That is Y' of the dream with Cb and Cr of the source (BT.709). Where no colour is as bright or
    as dark as that, it is paled, at the same brightness and hue, just as far as it must.

    Args:
        dream: RGB in [0, 1].
        source: likewise; of the same size.

    Returns:
        RGB in [0, 1].
    """
    bright = luma(dream)
    # Cb and Cr are multiples of B − Y' and R − Y': to keep both is to keep RGB − Y'.
    tint = source - luma(source)
    room = torch.where(tint > 0, 1 - bright, bright).clamp_min(0)
    share = (room / tint.abs().clamp_min(1e-9)).amin(1, keepdim=True).clamp_max(1)
    return (bright + share * tint).clamp(0, 1)


@dataclass(frozen=True, slots=True)
class Palette:
    """Mean and covariance of the colours of a picture.

    Args:
        mean: float64 ``[3]``, on the CPU.
        covariance: float64 ``[3, 3]``, likewise.
    """

    mean: Tensor = field(repr=False)
    covariance: Tensor = field(repr=False)


def palette(image: Tensor) -> Palette:
    """Measure the colours of a picture."""
    colours = image[0].flatten(1)
    mean = colours.mean(1, keepdim=True)
    apart = colours - mean
    covariance = apart @ apart.T / apart.shape[1]
    return Palette(mean[:, 0].cpu().double(), covariance.cpu().double())


def match_colour(image: Tensor, target: Palette) -> Tensor:
    """Give a picture the mean and covariance of colour of a target.

    By the linear map that moves its colours least (Monge-Kantorovich; Pitié, Kokaram 2007). Unlike
    there, a little variance is added on both sides, so that a picture without any colour, or of a
    single one, is not blown up into noise.

    Args:
        image: RGB in [0, 1].
        target: what to match.

    Returns:
        RGB in [0, 1]; what the map leads out of that range is cut off.
    """
    own = palette(image)
    turn = transfer(own.covariance, target.covariance)
    turn, before, after = (t.to(image) for t in (turn, own.mean, target.mean))
    moved = turn @ (image[0].flatten(1) - before.unsqueeze(1)) + after.unsqueeze(1)
    return moved.view_as(image).clamp_(0, 1)


def transfer(own: Tensor, wanted: Tensor) -> Tensor:
    """Give the symmetric ``T`` with ``T own Tᵀ = wanted``: float64 ``[3, 3]`` matrices all.

    Up to the variance that is added to both; where they are equal ``T`` is the identity.
    """
    least = _LEAST * torch.eye(3, dtype=own.dtype)
    root = _power(own + least, 0.5)
    inverse = _power(own + least, -0.5)
    return inverse @ _power(root @ (wanted + least) @ root, 0.5) @ inverse


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """Raise a symmetric positive definite matrix to a power."""
    eigen: tuple[Tensor, Tensor] = torch.linalg.eigh(matrix)
    values, vectors = eigen
    # Rounding may leave an eigenvalue a hair below nothing.
    return (vectors * values.clamp_min(1e-12) ** exponent) @ vectors.T
