"""What becomes of the image of a frame before it is shown.

Of the shown image only: what is propagated to the next frame is the image as it was, so that
nothing that is done here feeds back.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from vidream.core.effect import Context
from vidream.core.errors import prefix_errors
from vidream.core.filters import guided_filter
from vidream.core.images import to_tensor
from vidream.core.settings import PostprocessSettings, ReadSettings
from vidream.media.stills import read_still
from vidream.postprocess.colour import Palette, keep_colour, match_colour, palette
from vidream.postprocess.masks import Mask


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Constants of the guided filter that keeps edges."""

    radius: float = 1 / 90  # of its windows, as a share of the frame's shorter side
    eps: float = 0.02**2  # variance of the frame from which an edge counts as one
    fit_radius: int = 2  # on the grid of fits: finer costs four times as much and looks alike


EDGES = EdgeSettings()


class PostProcessor:
    """Turns the image of a frame into what is shown. A context manager.

    It holds the mask and the colours to match; amounts are those of each frame's context.

    Args:
        settings: what is done; at their defaults nothing, at no cost.

    Raises:
        InputError: the mask or the picture whose colours to match cannot be read.
    """

    def __init__(self, settings: PostprocessSettings) -> None:
        match = settings.match_color
        self._palette: Palette | None = None
        if match not in (None, "source"):
            with prefix_errors("match-color"):
                self._palette = palette(to_tensor(read_still(match, ReadSettings()).image))
        self._stack = ExitStack()
        self._mask: Mask | None = None
        if settings.mask is not None:
            self._mask = self._stack.enter_context(Mask(settings.mask, settings.feather))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def is_moving(self) -> bool:
        """Whether the same image of the same frame may be shown otherwise a moment later."""
        return self._mask is not None and self._mask.is_moving

    def __call__(self, image: Tensor, frame: Tensor, context: Context) -> Tensor:
        """Return what is shown.

        Args:
            image: float32 ``[1, 3, H, W]`` RGB in [0, 1].
            frame: what it was made of, likewise.
            context: of the frame; their times never go back.

        Returns:
            Likewise; the image itself if nothing is done.
        """
        settings = context.settings.postprocess
        shown = image
        if settings.keep_edges > 0:
            shown = keep_edges(shown, frame, settings.keep_edges)
        if settings.luma_only:
            shown = keep_colour(shown, frame)
        elif settings.match_color is not None:
            shown = match_colour(shown, self._palette or palette(frame))
        shown = blend(shown, frame, settings.strength)
        if self._mask is not None:
            size = (int(frame.shape[-2]), int(frame.shape[-1]))
            mask = self._mask.at(context.time, size, frame.device)
            # Exact at both ends, bit for bit, which frame + mask · (shown − frame) is not.
            shown = torch.lerp(frame, shown, mask)
        return shown


def blend(image: Tensor, frame: Tensor, strength: float) -> Tensor:
    """Return an image with more or less of what it adds to its frame.

    Args:
        image: ``[1, 3, H, W]`` RGB in [0, 1].
        frame: likewise.
        strength: 0 (the frame, bit for bit), 1 (the image itself) or more.
    """
    if strength == 1:
        return image
    return torch.lerp(frame, image, strength).clamp_(0, 1)


def keep_edges(
    image: Tensor, frame: Tensor, amount: float, settings: EdgeSettings = EDGES
) -> Tensor:
    """Smooth what an image adds to its frame, with the frame as guide.

    The frame's edges stay as sharp as they are, and what the image adds across them is averaged.

    Args:
        image: ``[1, 3, H, W]`` RGB in [0, 1].
        frame: likewise.
        amount: 0 (the image as it is) to 1 (all that it adds is smoothed).
        settings: the constants.
    """
    radius = max(2, round(min(frame.shape[-2:]) * settings.radius))
    residual = image - frame
    subsample = max(1, round(radius / settings.fit_radius))
    smoothed = guided_filter(frame, residual, radius, settings.eps, subsample)
    return (frame + torch.lerp(residual, smoothed, amount)).clamp_(0, 1)
