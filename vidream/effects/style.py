"""Pictures that a style is taken from: read, brought to size, matched in colour."""

from __future__ import annotations

import torch
from torch import Tensor

from vidream.errors import InputError
from vidream.frames import to_tensor
from vidream.octaves import resize
from vidream.settings import ReadSettings
from vidream.stills import read_still

LEAST_SIDE = 32
"""Pixels each way that a style picture has at least: less holds no strokes to learn from."""

_LONGEST = 4  # times the shorter side; of a longer strip, less is seen of each part
_FLAT = 1e-5  # variance that is added to every colour, so that grey has a direction too


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
    try:
        picture = read_still(path, ReadSettings()).image
    except InputError as error:
        raise InputError(f"no style: {error}") from error
    height, width = picture.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise InputError(
            f"the style picture {path} is {width}×{height}: give one of at least "
            f"{LEAST_SIDE} pixels each way"
        )
    scale = min(size / min(height, width), _LONGEST * size / max(height, width))
    return resize(to_tensor(picture), (max(1, round(height * scale)), max(1, round(width * scale))))


def match_colors(picture: Tensor, like: Tensor) -> Tensor:
    """Give a picture the mean and the covariance of another's colours.

    Gatys et al. 2016, "Preserving color in neural artistic style transfer": the linear map
    ``Σ_like^½ · Σ_picture^-½`` of RGB around the means, "image analogies" form.

    Args:
        picture: ``[1, 3, H, W]`` RGB in [0, 1].
        like: likewise, of any size.

    Returns:
        ``[1, 3, H, W]`` RGB in [0, 1]: what would leave it is cut off.
    """
    mean, covariance = _colors(picture)
    wanted_mean, wanted = _colors(like)
    turn = (_power(wanted, 0.5) @ _power(covariance, -0.5)).to(picture)
    mapped = torch.einsum("ij,bjhw->bihw", turn, picture - mean.to(picture))
    return (mapped + wanted_mean.to(picture)).clamp_(0, 1)


def _colors(image: Tensor) -> tuple[Tensor, Tensor]:
    """Give the mean, ``[1, 3, 1, 1]``, and the covariance ``[3, 3]`` in float64 on the CPU."""
    colors = image[0].flatten(1)
    mean = colors.mean(1, keepdim=True)
    # Here, as not every device has float64 and none is fast with three rows.
    covariance = torch.cov(colors).cpu().double()
    return mean.view(1, 3, 1, 1), covariance + _FLAT * torch.eye(3, dtype=torch.float64)


def _power(symmetric: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(symmetric)
    powers: Tensor = vectors @ torch.diag(values.clamp_min(_FLAT) ** exponent) @ vectors.T
    return powers
