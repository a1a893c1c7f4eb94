"""Noise images, for dreams without a source: ``noise:640x360``."""

import torch

from vidream.core.errors import InputError
from vidream.core.images import resize, to_picture
from vidream.core.settings import ReadSettings
from vidream.media.info import MAX_PIXELS, MAX_SIDE, fit
from vidream.media.places import Noise, Source
from vidream.media.stills import Still, read_still

_LEAST_SIDE = 16
_CONTRAST = 0.12  # standard deviation
_SCALES = 6  # octaves, from 2 pixels on: finer ones would be lost


def read_picture(source: Source, settings: ReadSettings, seed: int) -> Still:
    """Read a picture, or generate it of noise."""
    if isinstance(source, Noise):
        return make_noise(source, settings, seed)
    return read_still(source, settings)


def make_noise(noise: Noise, settings: ReadSettings, seed: int) -> Still:
    """Generate fractal noise from a seed.

    Raises:
        InputError: it would be too small or too large.
    """
    width, height = fit(noise.width, noise.height, settings)
    if min(width, height) < _LEAST_SIDE or max(width, height) > MAX_SIDE:
        raise InputError(f"{noise.name}: each side is from {_LEAST_SIDE} to {MAX_SIDE} pixels")
    if width * height > MAX_PIXELS:
        raise InputError(f"{noise.name}: the most is {MAX_PIXELS // 2**20} megapixels")
    random = torch.Generator().manual_seed(seed)
    total = torch.zeros(1, 3, height, width)
    for scale in range(1, 1 + _SCALES):
        size = max(2, height >> scale), max(2, width >> scale)
        total += resize(torch.randn(1, 3, *size, generator=random), (height, width))
    return Still(to_picture((0.5 + _CONTRAST * total / total.std()).clamp(0, 1)))
