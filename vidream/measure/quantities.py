"""What is measured of one frame. Pure functions on pictures and tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.frames import Picture
from vidream.temporal.warp import reliability, warp

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in published figures of residuals

_FINE = 1 / 8  # cycles a pixel

LEAST_RELIABLE = 0.01
"""Share of the pixels that must be reliable for a warping error to mean anything."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a picture looks as a whole, each from 0 to 1.

    Args:
        brightness: mean of all RGB values.
        contrast: standard deviation of all RGB values.
        saturation: mean over the pixels of max(R, G, B) - min(R, G, B).
    """

    brightness: float
    contrast: float
    saturation: float


@dataclass(frozen=True, slots=True)
class Residual:
    """How what a dream adds to its source looks.

    Args:
        chroma: energy of RGB − Y' (a mean over the channels) over that of Y'; None if that is 0.
        fine: share of the energy above an eighth of a cycle a pixel, 0 to 1; None without energy.
        rms: root mean square about the mean, RGB in [0, 1].
    """

    chroma: float | None
    fine: float | None
    rms: float


def residual(dream: Tensor, source: Tensor) -> Residual:
    """Return the :class:`Residual` of float ``[1, 3, H, W]`` images, RGB in [0, 1]."""
    added = dream - source
    height, width = added.shape[-2:]
    luma = (added * added.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    bright = float(luma.square().mean(dtype=torch.float64))
    varying = added - added.mean((2, 3), keepdim=True)
    power = torch.fft.rfft2(varying).abs().square().sum((0, 1)).double()
    # Of a real image the transform leaves out the half that mirrors these columns.
    power[:, 1 : (width + 1) // 2] *= 2
    high = torch.hypot(torch.fft.rfftfreq(width)[None], torch.fft.fftfreq(height)[:, None]) > _FINE
    total = float(power.sum())
    return Residual(
        chroma=float((added - luma).square().mean(dtype=torch.float64)) / bright
        if bright
        else None,
        fine=float(power[high].sum()) / total if total else None,
        rms=float(added.std(correction=0)),
    )


def look(picture: Picture) -> Look:
    """Give the :class:`Look` of a uint8 ``[H, W, 3]`` picture."""
    # Sums of whole numbers are exact, and a still clip must show no drift at all.
    mean = picture.sum(dtype=np.int64) / picture.size
    squares = np.square(picture, dtype=np.uint16).sum(dtype=np.int64)
    variance = squares / picture.size - mean**2
    red, green, blue = (picture[..., k] for k in range(3))
    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    return Look(
        brightness=float(mean / 255),
        contrast=float(np.sqrt(max(0.0, variance)) / 255),
        saturation=float((highest - lowest).mean(dtype=np.float64) / 255),
    )


def warping_error(current: Tensor, earlier: Tensor, flow: Tensor, reliable: Tensor) -> float:
    """Give the mean square of what motion does not explain: ``ΣM·(c − warp(e, w))² / (CΣM)``.

    Args:
        current: ``[1, C, H, W]`` in [0, 1].
        earlier: likewise, an earlier frame.
        flow: ``[1, 2, H, W]``, from the current frame to the earlier one, in pixels.
        reliable: M, ``[1, 1, H, W]`` of 0 and 1, somewhere 1.
    """
    # Bilinear never overshoots: an error that the measure itself adds would hide a small one.
    squared = (current - warp(earlier, flow, "bilinear")).square() * reliable
    total = squared.sum(dtype=torch.float64)
    return float(total / (current.shape[1] * reliable.sum(dtype=torch.float64)))


def fresh_cells(flow: Tensor, back: Tensor, grid: tuple[int, int]) -> Tensor:
    """Tell which cells show what the earlier frame did not: uncovered, or come in from outside.

    Args:
        flow: ``[1, 2, H, W]``, from the current frame to the earlier one.
        back: likewise, from the earlier frame to the current one.
        grid: height and width of the grid of cells.

    Returns:
        Bool ``[1, 1, h, w]``: more than half of the cell is new.
    """
    # Without edges of motion: flow is vague there, but the ground was seen before.
    seen = F.adaptive_avg_pool2d(reliability(flow, back, edges=False), grid)
    return seen < 0.5


def low(energy: Tensor) -> float:
    """Give the 10th percentile of the energies of all cells, ``[1, 1, h, w]``."""
    return float(np.quantile(energy.cpu().numpy(), 0.1))


def trend(indices: Sequence[int], values: Sequence[float]) -> float | None:
    """Give the least-squares slope per 100 frames, as a fraction of the values' mean.

    Args:
        indices: numbers of the frames.
        values: the quantity at each of them.

    Returns:
        0.05 for a quantity that grows by 5 % of its mean in 100 frames; None if there are fewer
        than two values, or their mean is 0.
    """
    if len(values) < 2 or not (mean := float(np.mean(values))):
        return None
    x = np.asarray(indices, np.float64) - np.mean(indices)
    y = np.asarray(values, np.float64) - mean
    return float(100 * (x @ y) / (x @ x) / mean)
