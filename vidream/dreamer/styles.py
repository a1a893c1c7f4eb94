"""Pictures that a style is taken from: read, and brought to size."""

from __future__ import annotations

from torch import Tensor

from vidream.errors import InputError, naming
from vidream.frames import to_tensor
from vidream.images import resize
from vidream.settings import ReadSettings
from vidream.stills import read_still

LEAST_SIDE = 32
"""Pixels each way that a style picture has at least: less holds no strokes to learn from."""

_LONGEST = 4  # times the shorter side; of a longer strip, less is seen of each part


def read_style(path: str, size: int) -> Tensor:
    """Read a style picture.

    Args:
        path: a PNG, JPEG or WebP.
        size: pixels of its shorter side afterwards.

    Returns:
        Float32 ``[1, 3, H, W]`` RGB in [0, 1], on the CPU.

    Raises:
        InputError: there is no picture to read there, or it is too small.
    """
    with naming("style"):
        picture = read_still(path, ReadSettings()).image
    height, width = picture.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise InputError(
            f"the style picture {path} is {width}×{height}: give one of at least "
            f"{LEAST_SIDE} pixels each way"
        )
    scale = min(size / min(height, width), _LONGEST * size / max(height, width))
    return resize(to_tensor(picture), (max(1, round(height * scale)), max(1, round(width * scale))))
