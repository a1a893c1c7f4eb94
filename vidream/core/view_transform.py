"""Zoom and rotation about the centre of an image."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.images import Size, size_of


def covering(degrees: float, size: Size) -> float:
    """Return the least zoom with which a rotated image still covers its frame to the corners."""
    angle = math.radians(abs(degrees))
    return math.cos(angle) + max(size) / min(size) * math.sin(angle)


@dataclass(frozen=True, slots=True)
class ViewTransform:
    """A zoom and a rotation about the centre."""

    zoom: float = 1.0  # scale factor
    degrees: float = 0.0  # clockwise rotation

    @classmethod
    def together(cls, moves: Iterable[Self]) -> Self:
        """Return the composition; about the same centre, the order does not matter."""
        several = tuple(moves)
        zoom = math.prod(move.zoom for move in several)
        return cls(zoom, math.fsum(move.degrees for move in several))

    def move(self, image: Tensor, times: int = 1) -> Tensor:
        """Return a ``[1, C, H, W]`` image, transformed ``times`` times, or back if negative.

        Resampled once, so as not to blur it; reflected outside the image.
        """
        if self._scale(times) == 1 and self.degrees * times == 0:
            return image.clone()
        across, down = self._source_coordinates(size_of(image), times, image.device)
        height, width = image.shape[-2:]
        grid = torch.stack((across * (2 / width), down * (2 / height)), dim=-1)[None]
        # Bicubic keeps what the network has drawn; it overshoots at edges, so it is clamped.
        moved = F.grid_sample(
            image, grid.to(image.dtype), "bicubic", padding_mode="reflection", align_corners=False
        )
        return moved.clamp_(0, 1)

    def depth_inside(self, size: Size, times: int, device: torch.device | str) -> Tensor:
        """Return how far inside the image is what each pixel shows after ``times`` transforms.

        ``[1, 1, H, W]``: pixels to the image's border, negative outside.
        """
        across, down = self._source_coordinates(size, times, device)
        height, width = size
        return torch.minimum(width / 2 - across.abs(), height / 2 - down.abs())[None, None]

    def _scale(self, times: int) -> float:
        return float(self.zoom**times)

    def _source_coordinates(
        self, size: Size, times: int, device: torch.device | str
    ) -> tuple[Tensor, Tensor]:
        return source_coordinates(size, self._scale(times), self.degrees * times, device)


def source_coordinates(
    size: Size, scale: float, degrees: float, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Return where each pixel of an image scaled and rotated about its centre is sampled.

    In pixels right of and below the centre, float32 ``[H, W]`` each.
    """
    height, width = size
    x = torch.arange(width, device=device, dtype=torch.float32) + (0.5 - width / 2)
    y = torch.arange(height, device=device, dtype=torch.float32)[:, None] + (0.5 - height / 2)
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    return cosine * x + sine * y, cosine * y - sine * x
