"""Local strength of a dream, and how far it has to grow.

The local energy of dreams from scratch varies by 10 to 25 %, that of their sources twofold and
hardly correlated. So one number for each octave, the *level* of a from-scratch dream, is the target
for all regions of later frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.images import Size, resize

DIAMETER = 48  # pixels over which energy is averaged: an eye of a creature
STEPS_PER_EFOLD = 3.0  # steps at once for each e-fold under the level
MAX_STEPS = 1.0  # at once; longer ones move tracked regions more than they refine them
_TINY = 1e-12


def local_level(cells: Tensor, size: Size) -> Tensor:
    """Average energy ``[B, 1, h, w]``, of an image of ``size`` pixels, over the diameter."""
    for dim in (-2, -1):
        count = cells.shape[dim]
        radius = min(round(DIAMETER * count / size[dim] / 2), (count - 1) // 2)
        cells = _averaged(cells, radius, dim)
    return cells


def level(cells: Tensor, size: Size) -> float:
    """Return the geometric mean of the local energy of an image."""
    return float(local_level(cells, size).clamp_min(_TINY).log().mean().exp())


def step_gain(
    cells: Tensor,
    target: float | Tensor,
    size: Size,
    hold: float = 0.0,
    max_steps: float = MAX_STEPS,
) -> Tensor:
    """Return the step of each pixel, ``[B, 1, H, W]``: 0 at the level to ``max_steps``.

    1 everywhere if there is no level above 0, as with layers of negative weight.

    Args:
        cells: energy, ``[B, 1, h, w]``.
        target: the :func:`level`, one or ``[B, 1, H, W]``.
        size: of the images.
        hold: step where the energy is twice the level or more, falling to 0 at the level.
        max_steps: the longest step.
    """
    if not isinstance(target, Tensor) and target <= 0:
        return torch.ones(cells.shape[0], 1, *size, device=cells.device)
    reached = local_level(cells, size).clamp_min(_TINY) / _at_cells(target, cells)
    steps = (-STEPS_PER_EFOLD * reached.log()).clamp(0, max_steps)
    return resize(steps + hold * (reached - 1).clamp(0, 1), size)


def deficit(cells: Tensor, target: float | Tensor) -> Tensor:
    """Return the deficit of each cell, ``[1, 1, h, w]``, 0 to 1, against a level above 0.

    Cubed: much in one place counts for more than a little everywhere, which grows by itself.
    """
    for dim in (-2, -1):
        cells = _averaged(cells, min(1, cells.shape[dim] - 1), dim)
    return (1 - cells / _at_cells(target, cells)).clamp_min(0) ** 3


def _at_cells(target: float | Tensor, cells: Tensor) -> float | Tensor:
    if isinstance(target, Tensor):
        return resize(target, (cells.shape[-2], cells.shape[-1]))
    return target


def _averaged(cells: Tensor, radius: int, dim: int) -> Tensor:
    """Average over ``2·radius + 1`` neighbours along one dimension, repeating the border."""
    if radius < 1:
        return cells
    pad = (0, 0, radius, radius) if dim == -2 else (radius, radius, 0, 0)
    window = (2 * radius + 1, 1) if dim == -2 else (1, 2 * radius + 1)
    return F.avg_pool2d(F.pad(cells, pad, mode="replicate"), window, stride=1)
