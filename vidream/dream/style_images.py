"""Reads style pictures."""

from torch import Tensor

from vidream.core.errors import InputError, prefix_errors
from vidream.core.images import resize, to_tensor
from vidream.core.settings import ReadSettings
from vidream.media.stills import read_still

_MIN_SIDE = 32  # pixels: less holds no strokes to learn from
_MAX_ASPECT = 4  # a longer strip is scaled down further


def read_style(path: str, size: int) -> Tensor:
    """Read a picture, float32 ``[1, 3, H, W]`` RGB in [0, 1], ``size`` pixels on its shorter side.

    Raises:
        InputError: it cannot be read, or is too small.
    """
    with prefix_errors("style"):
        picture = read_still(path, ReadSettings()).image
    height, width = picture.shape[:2]
    if min(height, width) < _MIN_SIDE:
        raise InputError(
            f"the style picture {path} is {width}×{height}: give one of at least "
            f"{_MIN_SIDE} pixels each way"
        )
    scale = min(size / min(height, width), _MAX_ASPECT * size / max(height, width))
    return resize(to_tensor(picture), (max(1, round(height * scale)), max(1, round(width * scale))))
