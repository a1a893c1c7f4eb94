"""Image tensors: to and from pictures, and resizing."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.frames import HdrPicture, Picture

Size = tuple[int, int]
"""Height and width in pixels."""


def size_of(image: Tensor) -> Size:
    """Return the size of ``[..., H, W]``."""
    return image.shape[-2], image.shape[-1]


def size_within(size: Size, side: int) -> Size:
    """Return a size scaled down to a longer side."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize(image: Tensor, size: Size) -> Tensor:
    """Resize, bilinear, antialiased when downscaling."""
    if tuple(image.shape[-2:]) == size:
        return image
    shrinks = size[0] < image.shape[-2] or size[1] < image.shape[-1]
    # On the way up antialiasing changes nothing, and takes its time.
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=shrinks)


def to_tensor(image: Picture | HdrPicture, device: torch.device | str = "cpu") -> Tensor:
    """Return a ``[H, W, 3]`` picture as a float32 ``[1, 3, H, W]`` tensor in [0, 1]."""
    # A copy, so that the tensor never aliases a decoder's buffer.
    chw = torch.from_numpy(np.array(image)).to(device).permute(2, 0, 1)
    most = np.iinfo(image.dtype).max
    return chw.unsqueeze(0).to(torch.float32, memory_format=torch.contiguous_format) / most


def to_picture(image: Tensor) -> Picture:
    """Return a float ``[1, 3, H, W]`` tensor in [0, 1] as a uint8 ``[H, W, 3]`` picture.

    Rounds to nearest: truncation would darken a recurrent dream by half a level per frame.
    """
    picture: Picture = _levels(image, 255).to(torch.uint8).numpy()
    return picture


def to_hdr_picture(image: Tensor) -> HdrPicture:
    """Return a float ``[1, 3, H, W]`` tensor in [0, 1] as a uint16 ``[H, W, 3]`` picture."""
    # PyTorch has hardly more than a name for uint16.
    picture: HdrPicture = _levels(image, 65535).to(torch.int32).numpy().astype(np.uint16)
    return picture


def _levels(image: Tensor, most: int) -> Tensor:
    levels = image.detach().squeeze(0).permute(1, 2, 0).mul(most).round_().clamp_(0, most)
    return levels.to("cpu").contiguous()
