"""Gradient ascent at one size: objective → gradient → precondition → normalize → step."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.images import resize
from vidream.core.settings import DreamSettings
from vidream.dream.gradient import Gradient
from vidream.dream.precondition import precondition
from vidream.dream.views import View

_TINY = 1e-8  # keeps a flat gradient from being divided by zero


def ascend(
    image: Tensor,
    views: Sequence[View],
    compute_gradient: Callable[[Tensor, View], Gradient],
    settings: DreamSettings,
) -> tuple[Tensor, list[Tensor]]:
    """Take a step for each view on ``[B, 3, H, W]`` in [0, 1], or until convergence.

    Returns the image, and the objective before each step.
    """
    objectives: list[Tensor] = []
    step_sizes = annealed(settings.step_size, settings.anneal, len(views))
    for view, step_size in zip(views, step_sizes, strict=True):
        found = compute_gradient(image, view)
        objectives.append(found.objective)
        if settings.until is not None and has_converged(objectives, settings.until):
            break
        direction = normalize(precondition(found.gradient, settings), settings.normalize)
        image = (image + step_size * direction).clamp_(0, 1)
    return image, objectives


def annealed(first: float, share: float, count: int) -> list[float]:
    """Return ``count`` step sizes that fall linearly from ``first`` to ``share`` of it."""
    return [first * (1 - (1 - share) * k / max(1, count - 1)) for k in range(count)]


def has_converged(objectives: Sequence[Tensor | float], until: float, steps: int = 3) -> bool:
    """Whether each of the last ``steps`` gained under ``until``, relative, on average: jitter."""
    if len(objectives) <= steps:
        return False
    before, now = float(objectives[-1 - steps]), float(objectives[-1])
    return now - before < steps * until * abs(before)


def normalize(gradient: Tensor, by: str) -> Tensor:
    """Divide by the mean absolute value (``"mean"``) or the standard deviation (``"std"``)."""
    size = gradient.std() if by == "std" else gradient.abs().mean()
    return gradient / (size + _TINY)


def normalize_locally(gradient: Tensor, by: str, diameter: int, floor: float) -> Tensor:
    """Normalize within ``diameter`` pixels: weak regions, which refinement is for, catch up.

    Divides by at least ``floor`` of the mean, so that flat regions do not turn into noise.
    """
    height, width = gradient.shape[-2:]
    sizes = gradient.square() if by == "std" else gradient.abs()
    grid = (max(1, round(height / diameter)), max(1, round(width / diameter)))
    around = F.adaptive_avg_pool2d(sizes.mean(1, keepdim=True), grid)
    around = resize(torch.maximum(around, floor * around.mean()), (height, width))
    return gradient / ((around.sqrt() if by == "std" else around) + _TINY)
