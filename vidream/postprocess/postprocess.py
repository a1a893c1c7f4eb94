"""What becomes of an image before it is shown; what is propagated is the image as it was."""

from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor

from vidream.core.closeable import Closeable
from vidream.core.effect import Context
from vidream.core.errors import prefix_errors
from vidream.core.filters import guided_filter
from vidream.core.images import size_of, to_tensor
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


SETTINGS = EdgeSettings()


class PostProcessor(Closeable):
    """Turns the image of a frame into what is shown. A context manager.

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

    def close(self) -> None:
        """Close the mask."""
        self._stack.close()

    @property
    def is_moving(self) -> bool:
        """Whether the same image of the same frame may be shown otherwise a moment later."""
        return self._mask is not None and self._mask.is_moving

    def __call__(self, image: Tensor, frame: Tensor, context: Context) -> Tensor:
        """Return what is shown of an image, ``[1, 3, H, W]`` RGB in [0, 1], made of a frame.

        The times of the contexts never go back.
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
            mask = self._mask.at(context.time, size_of(frame), frame.device)
            # Exact at both ends, bit for bit, which frame + mask · (shown − frame) is not.
            shown = torch.lerp(frame, shown, mask)
        return shown


def blend(image: Tensor, frame: Tensor, strength: float) -> Tensor:
    """Return the frame at strength 0, bit for bit, the image at 1, and more of it beyond."""
    if strength == 1:
        return image
    return torch.lerp(frame, image, strength).clamp_(0, 1)


def keep_edges(image: Tensor, frame: Tensor, amount: float) -> Tensor:
    """Smooth what an image adds to its frame, ``[1, 3, H, W]`` both, by a share from 0 to 1.

    By a guided filter: the frame's edges stay sharp.
    """
    radius = max(2, round(min(frame.shape[-2:]) * SETTINGS.radius))
    residual = image - frame
    subsample = max(1, round(radius / SETTINGS.fit_radius))
    smoothed = guided_filter(frame, residual, radius, SETTINGS.eps, subsample)
    return (frame + torch.lerp(residual, smoothed, amount)).clamp_(0, 1)
