"""Sizes of images, and resampling from one to another."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]
"""Height and width in pixels."""


def resize(image: Tensor, size: Size) -> Tensor:
    """Resample to ``size``, bilinear, with antialiasing on the way down."""
    if tuple(image.shape[-2:]) == size:
        return image
    shrinks = size[0] < image.shape[-2] or size[1] < image.shape[-1]
    # On the way up antialiasing changes nothing, and takes its time.
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=shrinks)
