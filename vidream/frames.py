"""A frame of video, and the way between 8-bit pictures and float tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Picture = npt.NDArray[np.uint8]
"""RGB picture, ``[height, width, 3]``, 0 to 255."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture and its place in time.

    Args:
        image: RGB picture, uint8 ``[height, width, 3]``.
        index: number of the frame in its clip, from 0.
        pts: presentation timestamp in units of ``time_base``.
        time_base: seconds per unit of ``pts``.
        duration: how long the frame shows, in units of ``time_base``; 0 if unknown.

    Raises:
        ValueError: ``image`` is not a uint8 array of shape ``[height, width, 3]``.
    """

    image: Picture = field(repr=False)
    index: int = 0
    pts: int = 0
    time_base: Fraction = Fraction(1, 25)
    duration: int = 0

    def __post_init__(self) -> None:
        """Refuse anything but an RGB picture."""
        image = self.image
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(
                f"a frame is uint8 [height, width, 3] RGB, not {image.dtype} {list(image.shape)}"
            )

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
        """When the frame shows, in seconds."""
        return self.pts * self.time_base

    def __repr__(self) -> str:
        return f"Frame({self.index}, {self.width}×{self.height}, {float(self.time):.3f} s)"


def to_tensor(image: Picture, device: torch.device | str = "cpu") -> Tensor:
    """Turn a uint8 ``[H, W, 3]`` picture into a float32 ``[1, 3, H, W]`` tensor in [0, 1]."""
    # A copy, so that the tensor never aliases a decoder's buffer.
    chw = torch.from_numpy(np.array(image)).to(device).permute(2, 0, 1)
    return chw.unsqueeze(0).to(torch.float32, memory_format=torch.contiguous_format) / 255


def to_picture(image: Tensor) -> Picture:
    """Turn a float ``[1, 3, H, W]`` tensor in [0, 1] into a uint8 ``[H, W, 3]`` picture.

    Rounds to the nearest level: truncating darkens a recurrent dream by half a level a frame.
    """
    levels = image.detach().squeeze(0).permute(1, 2, 0).mul(255).round_().clamp_(0, 255)
    picture: Picture = levels.to(device="cpu", dtype=torch.uint8).contiguous().numpy()
    return picture
