"""The finish: what becomes of a dream before it is shown.

Of the shown picture only. What is carried to the next frame is the raw dream, so that nothing that
is done here feeds back.
"""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction

import torch
from torch import Tensor

from vidream.errors import naming
from vidream.finish.masks import Mask
from vidream.frames import Frame, to_tensor
from vidream.images import Palette, guided_filter, keep_colour, match_colour, palette
from vidream.settings import FinishSettings, ReadSettings
from vidream.stills import read_still
from vidream.timeline import Clock

_REACH = 1 / 90  # of the frame's shorter side: radius of the windows that keep edges
_EDGE = 0.02**2  # variance of the source that counts as an edge
_FITS = 2  # radius on the grid of fits: as good as a finer one to the eye, at a quarter of the cost


class Finish:
    """Turns the dream of a frame into what is shown. A context manager.

    Args:
        settings: what is to be done; at their defaults nothing is, at no cost.
        start: where in the clip its first frame lies, in seconds, as in
            :attr:`ReadSettings.start`; a mask runs in step with the whole clip.
        begin: when the first frame of the clip shows, in seconds, where that is not the first
            one that is given.

    Raises:
        InputError: the mask or the picture whose colours to match cannot be read.
    """

    def __init__(
        self, settings: FinishSettings, start: float | None = None, begin: Fraction | None = None
    ) -> None:
        self._settings = settings
        self._clock = Clock(start, begin)
        self._palette = _palette_of(settings.match_color)
        self._open = ExitStack()
        self._mask: Mask | None = None
        if settings.mask is not None:
            self._mask = self._open.enter_context(Mask(settings.mask, settings.feather))

    def __enter__(self) -> Finish:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def moving(self) -> bool:
        """Whether the same dream of the same frame may be shown otherwise a moment later."""
        return self._mask is not None and self._mask.moving

    def __call__(
        self, dream: Tensor, source: Tensor, frame: Frame, now: FinishSettings | None = None
    ) -> Tensor:
        """Give what is shown.

        Args:
            dream: float32 ``[1, 3, H, W]`` RGB in [0, 1].
            source: the frame that it grew on, likewise.
            frame: the one that is shown now, which says when. Frames come in their order.
            now: amounts for this frame, where they change with time.

        Returns:
            Likewise; the dream itself if nothing is to be done.
        """
        settings = now or self._settings
        shown = dream
        if settings.keep_edges > 0:
            shown = keep_edges(shown, source, settings.keep_edges)
        if settings.keep_color:
            shown = keep_colour(shown, source)
        elif settings.match_color is not None:
            shown = match_colour(shown, self._palette or palette(source))
        shown = strengthened(shown, source, settings.strength)
        if self._mask is not None:
            size = (int(source.shape[-2]), int(source.shape[-1]))
            mask = self._mask.at(self._clock(frame), size, source.device)
            # Exact at both ends, bit for bit, which source + mask · (shown − source) is not.
            shown = torch.lerp(source, shown, mask)
        return shown


def strengthened(dream: Tensor, source: Tensor, strength: float) -> Tensor:
    """Show more or less of what the dream adds.

    Args:
        dream: ``[1, 3, H, W]`` RGB in [0, 1].
        source: likewise.
        strength: 0 (the source, bit for bit), 1 (the dream) or more.
    """
    if strength == 1:
        return dream
    return torch.lerp(source, dream, strength).clamp_(0, 1)


def keep_edges(dream: Tensor, source: Tensor, amount: float) -> Tensor:
    """Smooth what the dream adds to its source, with the source as guide.

    The outlines of the source stay as sharp as they are, and what the dream draws across them goes.

    Args:
        dream: ``[1, 3, H, W]`` RGB in [0, 1].
        source: likewise.
        amount: 0 (the dream as it is) to 1 (what it adds is wholly smoothed).
    """
    radius = max(2, round(min(source.shape[-2:]) * _REACH))
    detail = dream - source
    smoothed = guided_filter(source, detail, radius, _EDGE, max(1, round(radius / _FITS)))
    return (source + torch.lerp(detail, smoothed, amount)).clamp_(0, 1)


def _palette_of(match: str | None) -> Palette | None:
    """Measure the picture whose colours are to be matched; None if it is the source, or none is."""
    if match is None or match == "source":
        return None
    with naming("match-color"):
        return palette(to_tensor(read_still(match, ReadSettings()).image))
