"""Masks: where a dream is to be seen. A picture, or a video that runs in step with the clip."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from vidream.companion import Companion
from vidream.frames import Picture, to_eight_bits, to_tensor
from vidream.images import Size, feather, luma, resize
from vidream.stills import read_mask

_BLUR = 2 / 255  # what encoding makes of black, and leaves of white


class Mask:
    """How much of the dream is to be seen, from pixel to pixel. A context manager.

    Args:
        place: path of a picture, or of a video. It is white where the dream is to be seen;
            a picture that is transparent anywhere is asked for its opacity instead.
        softness: width of the soft edge, in pixels of the frame.

    Raises:
        InputError: it cannot be read; the message begins with "mask".
    """

    def __init__(self, place: str, softness: int) -> None:
        self._softness = softness
        self._companion = Companion(place, "mask", read_mask)
        self._fitted: tuple[tuple[int, Size], Tensor] | None = None

    def __enter__(self) -> Mask:
        return self

    def __exit__(self, *stopped: object) -> None:
        self._companion.__exit__(*stopped)

    @property
    def moving(self) -> bool:
        """Whether it is a video."""
        return self._companion.moving

    def at(self, time: Fraction, size: Size, device: torch.device | str = "cpu") -> Tensor:
        """Give the mask at a time, which is never before the one that was asked for last.

        Args:
            time: seconds since the clip began. After the mask's end its last frame holds.
            size: height and width of the frame; the mask is stretched to it.
            device: where it is wanted.

        Returns:
            ``[1, 1, H, W]`` in [0, 1]: 0 = the source, 1 = the dream.
        """
        shown = self._companion.at(time)
        key = (shown.index, size)
        if self._fitted is None or self._fitted[0] != key:
            self._fitted = key, self._fit(to_eight_bits(shown.image), size, device)
        return self._fitted[1]

    def _fit(self, picture: Picture, size: Size, device: torch.device | str) -> Tensor:
        levels = resize(luma(to_tensor(picture, device)), size)
        # After resizing, whose rounding it undoes as well.
        sure = ((levels - _BLUR) / (1 - 2 * _BLUR)).clamp(0, 1)
        return feather(sure, self._softness)
