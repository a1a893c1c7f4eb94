"""Metrics of one frame, as pure functions of pictures and tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.frames import Picture
from vidream.core.images import Size
from vidream.temporal.warp import forward_backward_mask, warp

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in published figures of residuals
_FINE = 1 / 8  # cycles a pixel


@dataclass(frozen=True, slots=True)
class ColourStatistics:
    """Color of a picture, each 0 to 1."""

    brightness: float  # mean of all RGB values
    contrast: float  # their standard deviation
    saturation: float  # mean of max(R, G, B) - min(R, G, B) over the pixels

    @classmethod
    def of(cls, picture: Picture) -> Self:
        """Measure a uint8 ``[H, W, 3]`` picture."""
        # Sums of whole numbers are exact, and a still clip must show no drift at all.
        mean = picture.sum(dtype=np.int64) / picture.size
        squares = np.square(picture, dtype=np.uint16).sum(dtype=np.int64)
        variance = squares / picture.size - mean**2
        red, green, blue = (picture[..., k] for k in range(3))
        highest = np.maximum(np.maximum(red, green), blue)
        lowest = np.minimum(np.minimum(red, green), blue)
        return cls(
            brightness=float(mean / 255),
            contrast=float(np.sqrt(max(0.0, variance)) / 255),
            saturation=float((highest - lowest).mean(dtype=np.float64) / 255),
        )


@dataclass(frozen=True, slots=True)
class Residual:
    """Statistics of dream minus source."""

    chroma: float | None  # energy of RGB − Y' (mean of the channels) over Y's; None if that is 0
    fine: float | None  # share of the energy above 1/8 cycle per pixel; None without energy
    rms: float  # about the mean, RGB in [0, 1]

    @classmethod
    def of(cls, dream: Tensor, source: Tensor) -> Self:
        """Measure float ``[1, 3, H, W]`` images, RGB in [0, 1]."""
        added = dream - source
        height, width = added.shape[-2:]
        luma = (added * added.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        luma_energy = float(luma.square().mean(dtype=torch.float64))
        chroma_energy = float((added - luma).square().mean(dtype=torch.float64))
        varying = added - added.mean((2, 3), keepdim=True)
        power = torch.fft.rfft2(varying).abs().square().sum((0, 1)).double()
        # Of a real image the transform leaves out the half that mirrors these columns.
        power[:, 1 : (width + 1) // 2] *= 2
        frequency = torch.hypot(torch.fft.rfftfreq(width)[None], torch.fft.fftfreq(height)[:, None])
        total = float(power.sum())
        return cls(
            chroma=chroma_energy / luma_energy if luma_energy else None,
            fine=float(power[frequency > _FINE].sum()) / total if total else None,
            rms=float(added.std(correction=0)),
        )


def warping_error(current: Tensor, earlier: Tensor, flow: Tensor, mask: Tensor) -> float:
    """Return ``ΣM·(c − warp(e, w))² / (CΣM)`` (Lai et al. 2018).

    Args:
        current: c, ``[1, C, H, W]`` in [0, 1].
        earlier: e, likewise.
        flow: w, ``[1, 2, H, W]``, from the current frame to the earlier one, in pixels.
        mask: M, ``[1, 1, H, W]`` of 0 and 1, not all 0.
    """
    # Bilinear never overshoots: an error that the measure itself adds would hide a small one.
    squared = (current - warp(earlier, flow, "bilinear")).square() * mask
    total = squared.sum(dtype=torch.float64)
    return float(total / (current.shape[1] * mask.sum(dtype=torch.float64)))


def new_cells(flow: Tensor, backward: Tensor, grid: Size) -> Tensor:
    """Return the cells of which more than half is disoccluded or from outside the earlier frame.

    Bool ``[1, 1, h, w]`` on a grid, by the flow to the earlier frame and back, ``[1, 2, H, W]``.
    """
    # Without motion boundaries: flow is vague there, but the region was seen before.
    seen = forward_backward_mask(flow, backward, boundaries=False)
    return F.adaptive_avg_pool2d(seen, grid) < 0.5


def trend(indices: Sequence[int], values: Sequence[float]) -> float | None:
    """Return the least-squares slope per 100 frames, as a fraction of the values' mean.

    None for fewer than two values, or a mean of 0.
    """
    if len(values) < 2 or not (mean := float(np.mean(values))):
        return None
    x = np.asarray(indices, np.float64) - np.mean(indices)
    y = np.asarray(values, np.float64) - mean
    return float(100 * (x @ y) / (x @ x) / mean)
