"""Video frames, and pictures as arrays of 8 or 16 bits."""

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""RGB picture, ``[height, width, 3]``, 0 to 255."""

HdrPicture = npt.NDArray[np.uint16]
"""RGB picture of HDR, ``[height, width, 3]``, 0 to 65535."""


Alpha = npt.NDArray[np.uint8]
"""Opacity, ``[height, width]``, 0 to 255."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture and its timestamp.

    Args:
        image: RGB, ``[height, width, 3]``: uint8, or uint16 for HDR that is kept.
        index: number of the frame in its clip, from 0.
        pts: presentation timestamp in units of ``time_base``.
        time_base: seconds per unit of ``pts``.
        duration: in units of ``time_base``; 0 if unknown.
        alpha: opacity, ``[height, width]``, if it is kept; ``image`` is not darkened by it.

    Raises:
        ValueError: ``image`` is not such an array.
    """

    image: Picture | HdrPicture = field(repr=False)
    index: int = 0
    pts: int = 0
    time_base: Fraction = Fraction(1, 25)
    duration: int = 0
    alpha: Alpha | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        image = self.image
        known = image.dtype in (np.uint8, np.uint16)
        if not known or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(
                "a frame is uint8 or uint16 [height, width, 3] RGB, not "
                f"{image.dtype} {list(image.shape)}"
            )

    @property
    def is_hdr(self) -> bool:
        """Whether the image has 16 bits."""
        return bool(self.image.dtype == np.uint16)

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.image.shape[0])

    @property
    def time(self) -> Fraction:
        """Presentation time in seconds."""
        return self.pts * self.time_base

    def __repr__(self) -> str:
        return f"Frame({self.index}, {self.width}×{self.height}, {float(self.time):.3f} s)"


def to_eight_bits(image: Picture | HdrPicture) -> Picture:
    """Return a picture in 8 bits."""
    return (image >> 8).astype(np.uint8) if image.dtype == np.uint16 else image.view(np.uint8)
