"""Masks: where a dream is to be seen. A picture, or a video that runs in step with the clip."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import torch
from torch import Tensor

from vidream.colour import luma
from vidream.errors import InputError
from vidream.filters import feather
from vidream.frames import Frame, to_tensor
from vidream.media import is_pipe
from vidream.octaves import Size, resize
from vidream.reader import Reader, open_reader
from vidream.stills import is_still, read_mask

_SLACK = Fraction(1, 200)  # seconds; containers round times to thousandths, GIF to hundredths
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
        self._reader: Reader | None = None
        self._frames: Iterator[Frame] = iter(())
        if is_pipe(place):
            raise InputError("mask: it cannot be read from a pipe: give a file")
        try:
            if is_still(place):
                self._shown = Frame(read_mask(place))
            else:
                self._reader = open_reader(place)
                self._frames = (item for item in self._reader if isinstance(item, Frame))
                self._shown = next(self._frames)
        except InputError as error:
            raise InputError(f"mask: {error}") from error
        self._begin = self._shown.time
        self._next = next(self._frames, None)
        self._fitted: tuple[tuple[int, Size], Tensor] | None = None

    def __enter__(self) -> Mask:
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.close()

    @property
    def moving(self) -> bool:
        """Whether it is a video."""
        return self._reader is not None

    def at(self, time: Fraction, size: Size, device: torch.device | str = "cpu") -> Tensor:
        """Give the mask at a time, which is never before the one that was asked for last.

        Args:
            time: seconds since the clip began. After the mask's end its last frame holds.
            size: height and width of the frame; the mask is stretched to it.
            device: where it is wanted.

        Returns:
            ``[1, 1, H, W]`` in [0, 1]: 0 = the source, 1 = the dream.
        """
        while self._next is not None and self._next.time - self._begin <= time + _SLACK:
            self._shown, self._next = self._next, next(self._frames, None)
        key = (self._shown.index, size)
        if self._fitted is None or self._fitted[0] != key:
            self._fitted = key, self._fit(size, device)
        return self._fitted[1]

    def _fit(self, size: Size, device: torch.device | str) -> Tensor:
        levels = resize(luma(to_tensor(self._shown.image, device)), size)
        # After resizing, whose rounding it undoes as well.
        sure = ((levels - _BLUR) / (1 - 2 * _BLUR)).clamp(0, 1)
        return feather(sure, self._softness)
