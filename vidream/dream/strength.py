"""Local strength of a dream, and how far it has to grow.

Dreams from scratch are about equally strong everywhere: local energy differs between frames and
regions by 10 to 25 %, that of the sources twofold and hardly correlated with it. So one number for
each octave, the *level* of a from-scratch dream, is the target of every region of later frames.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.images import Size, resize, size_of

_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class StrengthPolicy:
    """Constants of local strength."""

    diameter: int = 48  # pixels over which energy is averaged: an eye of a creature
    steps_per_efold: float = 3.0  # steps at once for each e-fold under the level
    max_steps: float = 1.0  # longer ones move tracked regions more than they refine them


STRENGTH_POLICY = StrengthPolicy()


def local_level(cells: Tensor, size: Size) -> Tensor:
    """Average energy ``[B, 1, h, w]``, of an image of ``size`` pixels, over the diameter."""
    for dim in (-2, -1):
        count = cells.shape[dim]
        radius = min(round(STRENGTH_POLICY.diameter * count / size[dim] / 2), (count - 1) // 2)
        if radius:
            cells = _averaged(cells, radius, dim)
    return cells


def level(cells: Tensor, size: Size) -> float:
    """Return the geometric mean of the local energy of an image; 0 where none is above 0."""
    local = local_level(cells, size)
    return float(local.clamp_min(_TINY).log().mean().exp()) if local.amax() > 0 else 0.0


def step_gain(
    cells: Tensor,
    target: float | Tensor,
    size: Size,
    hold: float = 0.0,
    max_steps: float = STRENGTH_POLICY.max_steps,
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
    if float(torch.as_tensor(target).amax()) <= 0:
        return torch.ones(cells.shape[0], 1, *size, device=cells.device)
    reached = local_level(cells, size).clamp_min(_TINY) / _at_cells(target, cells)
    steps = (-STRENGTH_POLICY.steps_per_efold * reached.log()).clamp(0, max_steps)
    return resize(steps + hold * (reached - 1).clamp(0, 1), size)


def deficit(cells: Tensor, target: float | Tensor) -> Tensor:
    """Return the deficit of each cell, ``[1, 1, h, w]``, 0 to 1, against a level above 0.

    Cubed: much in one place counts for more than a little everywhere, which grows by itself.
    """
    for dim in (-2, -1):
        if cells.shape[dim] > 1:
            cells = _averaged(cells, 1, dim)
    return (1 - cells / _at_cells(target, cells)).clamp_min(0) ** 3


def _at_cells(target: float | Tensor, cells: Tensor) -> float | Tensor:
    return resize(target, size_of(cells)) if isinstance(target, Tensor) else target


def _averaged(cells: Tensor, radius: int, dim: int) -> Tensor:
    """Average over ``2·radius + 1`` neighbours along one dimension, repeating the border."""
    y, x = (radius, 0) if dim == -2 else (0, radius)
    padded = F.pad(cells, (x, x, y, y), mode="replicate")
    return F.avg_pool2d(padded, (2 * y + 1, 2 * x + 1), stride=1)
