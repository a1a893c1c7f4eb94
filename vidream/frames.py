"""A frame of video, and the way between pictures of 8 or 16 bits and float tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Picture = npt.NDArray[np.uint8]
"""RGB picture, ``[height, width, 3]``, 0 to 255."""

DeepPicture = npt.NDArray[np.uint16]
"""RGB picture of HDR, ``[height, width, 3]``, 0 to 65535."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture and its place in time.

    Args:
        image: RGB picture, uint8 ``[height, width, 3]``, or uint16 for HDR that is kept.
        index: number of the frame in its clip, from 0.
        pts: presentation timestamp in units of ``time_base``.
        time_base: seconds per unit of ``pts``.
        duration: how long the frame shows, in units of ``time_base``; 0 if unknown.

    Raises:
        ValueError: ``image`` is not such an array.
    """

    image: Picture | DeepPicture = field(repr=False)
    index: int = 0
    pts: int = 0
    time_base: Fraction = Fraction(1, 25)
    duration: int = 0

    def __post_init__(self) -> None:
        """Refuse anything but an RGB picture."""
        image = self.image
        known = image.dtype in (np.uint8, np.uint16)
        if not known or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(
                "a frame is uint8 or uint16 [height, width, 3] RGB, not "
                f"{image.dtype} {list(image.shape)}"
            )

    @property
    def deep(self) -> bool:
        """Whether it has 16 bits."""
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
        """When the frame shows, in seconds."""
        return self.pts * self.time_base

    def __repr__(self) -> str:
        return f"Frame({self.index}, {self.width}×{self.height}, {float(self.time):.3f} s)"


def to_tensor(image: Picture | DeepPicture, device: torch.device | str = "cpu") -> Tensor:
    """Turn a ``[H, W, 3]`` picture into a float32 ``[1, 3, H, W]`` tensor in [0, 1]."""
    # A copy, so that the tensor never aliases a decoder's buffer.
    chw = torch.from_numpy(np.array(image)).to(device).permute(2, 0, 1)
    most = np.iinfo(image.dtype).max
    return chw.unsqueeze(0).to(torch.float32, memory_format=torch.contiguous_format) / most


def to_picture(image: Tensor) -> Picture:
    """Turn a float ``[1, 3, H, W]`` tensor in [0, 1] into a uint8 ``[H, W, 3]`` picture.

    Rounds to the nearest level: truncating darkens a recurrent dream by half a level a frame.
    """
    picture: Picture = _levels(image, 255).to(torch.uint8).numpy()
    return picture


def to_deep_picture(image: Tensor) -> DeepPicture:
    """Turn a float ``[1, 3, H, W]`` tensor in [0, 1] into a uint16 ``[H, W, 3]`` picture."""
    # PyTorch has hardly more than a name for uint16.
    picture: DeepPicture = _levels(image, 65535).to(torch.int32).numpy().astype(np.uint16)
    return picture


def _levels(image: Tensor, most: int) -> Tensor:
    levels = image.detach().squeeze(0).permute(1, 2, 0).mul(most).round_().clamp_(0, most)
    return levels.to("cpu").contiguous()


def to_eight_bits(image: Picture | DeepPicture) -> Picture:
    """Give a picture in 8 bits, for what looks at it and does not show it; itself if it is."""
    return (image >> 8).astype(np.uint8) if image.dtype == np.uint16 else image.view(np.uint8)
