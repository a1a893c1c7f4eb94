"""How strong a dream is from place to place, and how far it has to grow. Pure functions.

Dreams made from scratch turn out about equally strong everywhere, whatever they grow on: the
local energy of the layer differs between frames and between regions by 10 to 25 %, while that of
the sources differs twofold and is hardly correlated with it. So one number for each octave, the
*level* of a from-scratch dream, says what every place of every later frame should come to.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.images import Size, resize

REACH = 48
"""Pixels over which energy is averaged: a few cells of a deep layer, an eye of a creature."""

EAGERNESS = 3.0
"""Steps taken at once for each e-fold that a place is too weak."""

MOST = 1.0
"""Steps taken at once at most: longer ones move tracked ground more than they deepen it."""


def local_level(cells: Tensor, size: Size) -> Tensor:
    """Average energy over :data:`REACH` pixels.

    Args:
        cells: energy of each cell of a layer's grid, ``[1, 1, h, w]``.
        size: of the image that the grid covers, in pixels.

    Returns:
        ``[1, 1, h, w]``.
    """
    for dim in (-2, -1):
        count = cells.shape[dim]
        radius = min(round(REACH * count / size[dim] / 2), (count - 1) // 2)
        if radius:
            cells = _averaged(cells, radius, dim)
    return cells


def level(cells: Tensor, size: Size) -> float:
    """Give the typical (geometric mean) local energy of an image: what it is held to later."""
    return float(local_level(cells, size).clamp_min(1e-12).log().mean().exp())


def gain(
    cells: Tensor,
    target: float | Tensor,
    size: Size,
    most: float = MOST,
    hold: float = 0.0,
) -> Tensor:
    """Tell how many steps each pixel should take at once.

    Args:
        cells: energy of each cell, ``[B, 1, h, w]``.
        target: the :func:`level` to come to; for each pixel, ``[B, 1, H, W]``, or for all.
        size: of the images, in pixels.
        most: steps at once at most.
        hold: steps at once where the energy is twice the level and more; less where it is less.

    Returns:
        ``[B, 1, H, W]``, 0 where the level is reached, to ``most``. 1 everywhere where there is no
        level to reach, as with layers of negative weight.
    """
    if not isinstance(target, Tensor) and target <= 0:
        return torch.ones(cells.shape[0], 1, *size, device=cells.device)
    over = local_level(cells, size).clamp_min(1e-12) / _over(cells, target)
    steps = (-EAGERNESS * over.log()).clamp(0, most)
    return resize(steps + hold * (over - 1).clamp(0, 1), size)


def lack(cells: Tensor, target: float | Tensor) -> Tensor:
    """Tell how urgently each cell of a frame wants more.

    Args:
        cells: energy of each cell, ``[1, 1, h, w]``.
        target: the :func:`level` to come to, more than 0; for each pixel or for all.

    Returns:
        ``[1, 1, h, w]``, 0 where the level is reached, to 1. Much in one place counts for more
        than a little everywhere: that would come by itself.
    """
    for dim in (-2, -1):
        if cells.shape[dim] > 1:
            cells = _averaged(cells, 1, dim)
    return (1 - cells / _over(cells, target)).clamp_min(0) ** 3


def _over(cells: Tensor, target: float | Tensor) -> float | Tensor:
    """Bring a target to the grid of cells if it is one for each pixel."""
    if not isinstance(target, Tensor):
        return target
    return resize(target, (cells.shape[-2], cells.shape[-1]))


def _averaged(cells: Tensor, radius: int, dim: int) -> Tensor:
    """Average over ``2·radius + 1`` neighbours along one dimension, repeating the border."""
    down = dim == -2
    pad = (0, 0, radius, radius) if down else (radius, radius, 0, 0)
    window = (2 * radius + 1, 1) if down else (1, 2 * radius + 1)
    return F.avg_pool2d(F.pad(cells, pad, mode="replicate"), window, stride=1)
