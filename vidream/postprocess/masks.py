"""Masks: where an effect is shown. A picture, or a video that runs beside the clip."""

from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from vidream.core.closeable import Closeable
from vidream.core.filters import feather
from vidream.core.frames import Frame, to_eight_bits
from vidream.core.images import Size, resize, to_tensor
from vidream.core.settings import ReadSettings
from vidream.media.timed_image import TimedImage
from vidream.postprocess.colour import luma

_NOISE = 2 / 255  # of black and white after encoding
_OPAQUE = 253  # opacity from which encoding may have taken the rest


class Mask(Closeable):
    """How much of an effect is shown at each pixel. A context manager.

    Args:
        place: path of a picture, or of a video: white where the effect is shown. Where there is
            any transparency in it the opacity is taken instead.
        softness: width of the ramp inside the mask's edges, in pixels of the frame.

    Raises:
        InputError: it cannot be read; the message begins with "mask".
    """

    def __init__(self, place: str, softness: int) -> None:
        self._softness = softness
        settings = ReadSettings(keep_alpha=True)
        self._image = TimedImage(place, "mask", settings)
        self._is_matte = False
        if self._image.at(Fraction(0)).alpha is not None:
            with TimedImage(place, "mask", settings) as whole:
                self._is_matte = any(map(_is_transparent, whole.frames()))
        self._cached: tuple[tuple[int, Size], Tensor] | None = None

    def close(self) -> None:
        """Close the video."""
        self._image.close()

    @property
    def is_moving(self) -> bool:
        """Whether it is a video."""
        return self._image.moving

    def at(self, time: Fraction, size: Size, device: torch.device | str = "cpu") -> Tensor:
        """Return ``[1, 1, H, W]``, 0 (the frame) to 1 (the effect), stretched to the size.

        Times are in seconds since the clip began, and never decrease. After the mask's end its last
        frame holds.
        """
        shown = self._image.at(time)
        key = (shown.index, size)
        if self._cached is None or self._cached[0] != key:
            self._cached = key, self._fit(shown, size, device)
        return self._cached[1]

    def _fit(self, shown: Frame, size: Size, device: torch.device | str) -> Tensor:
        picture = to_eight_bits(shown.image)
        if self._is_matte and shown.alpha is not None:
            picture = np.repeat(shown.alpha[:, :, None], 3, axis=2)
        levels = resize(luma(to_tensor(picture, device)), size)
        # After resizing, whose rounding it undoes as well.
        levels = ((levels - _NOISE) / (1 - 2 * _NOISE)).clamp(0, 1)
        return feather(levels, self._softness)


def _is_transparent(frame: Frame) -> bool:
    return frame.alpha is not None and bool(frame.alpha.min() < _OPAQUE)
