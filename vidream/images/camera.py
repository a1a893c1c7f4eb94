"""The camera of an endless zoom: moves about the centre of the picture.

Pure functions on ``[1, C, H, W]`` tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.images.sizes import Size


def covering(degrees: float, size: Size) -> float:
    """Give the least zoom with which a turned picture still covers its frame to the corners."""
    angle = math.radians(abs(degrees))
    return math.cos(angle) + max(size) / min(size) * math.sin(angle)


@dataclass(frozen=True, slots=True)
class Camera:
    """A move about the centre.

    Args:
        zoom: factor by which things grow; under 1 they shrink.
        degrees: by which they turn clockwise.
    """

    zoom: float = 1.0
    degrees: float = 0.0

    @classmethod
    def together(cls, moves: Iterable[Camera]) -> Camera:
        """Make one move of several; about the same centre, their order does not matter."""
        several = tuple(moves)
        zoom = math.prod(move.zoom for move in several)
        return cls(zoom, math.fsum(move.degrees for move in several))

    def move(self, image: Tensor, times: int = 1) -> Tensor:
        """Give what is seen after so many moves, or before them if ``times`` is negative.

        All of them at once: to resample a picture at each would blur it.

        Args:
            image: ``[1, C, H, W]`` in [0, 1].
            times: number of moves.

        Returns:
            A new tensor of the same shape; what lies outside the image is its reflection.
        """
        if self._scale(times) == 1 and self.degrees * times == 0:
            return image.clone()
        across, down = self._way_back((image.shape[-2], image.shape[-1]), times, image.device)
        height, width = image.shape[-2:]
        grid = torch.stack((across * (2 / width), down * (2 / height)), dim=-1)[None]
        # Bicubic keeps what the network has drawn; it overshoots at edges, so it is clamped.
        moved = F.grid_sample(
            image, grid.to(image.dtype), "bicubic", padding_mode="reflection", align_corners=False
        )
        return moved.clamp_(0, 1)

    def depth_inside(self, size: Size, times: int, device: torch.device | str) -> Tensor:
        """Tell how far inside the image lies what each pixel shows after so many moves.

        Returns:
            ``[1, 1, H, W]``: distance to the image's border in its own pixels, less than 0 where
            the pixel shows what is outside.
        """
        across, down = self._way_back(size, times, device)
        height, width = size
        return torch.minimum(width / 2 - across.abs(), height / 2 - down.abs())[None, None]

    def _scale(self, times: int) -> float:
        return float(self.zoom**times)

    def _way_back(
        self, size: Size, times: int, device: torch.device | str
    ) -> tuple[Tensor, Tensor]:
        return way_back(size, self._scale(times), self.degrees * times, device)


def way_back(
    size: Size, scale: float, degrees: float, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Give from where each pixel is fetched of what is enlarged and turned about its centre.

    Args:
        size: of what is seen.
        scale: factor by which things grow.
        degrees: by which they turn clockwise.
        device: where the result is to be.

    Returns:
        Pixels right of and below the centre, float32 ``[H, W]`` each.
    """
    height, width = size
    x = torch.arange(width, device=device, dtype=torch.float32) + (0.5 - width / 2)
    y = torch.arange(height, device=device, dtype=torch.float32)[:, None] + (0.5 - height / 2)
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    return cosine * x + sine * y, cosine * y - sine * x
