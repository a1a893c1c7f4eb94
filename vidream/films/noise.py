"""Noise as a source, for dreams that begin with nothing: ``noise:640x360``."""

from __future__ import annotations

import os
import re

import torch

from vidream.errors import InputError
from vidream.frames import to_picture
from vidream.images import resize
from vidream.media import MAX_PIXELS, MAX_SIDE, Place, fit, is_pipe
from vidream.settings import ReadSettings
from vidream.stills import Still

_LEAST_SIDE = 16
_CONTRAST = 0.12  # deviation of the noise from grey
_SCALES = 6  # octaves of noise, from 2 pixels on: finer grain would only be lost


def is_noise(place: Place) -> bool:
    """Whether a source is noise and no file."""
    return not is_pipe(place) and os.fspath(place).startswith("noise:")  # type: ignore[arg-type]


def make_noise(source: Place, settings: ReadSettings, seed: int) -> Still:
    """Make a picture of noise, the same one for the same seed.

    Raises:
        InputError: the source does not say of what size.
    """
    name = os.fspath(source)  # type: ignore[arg-type]
    match = re.fullmatch(r"noise:(\d{1,6})[x×](\d{1,6})", name)
    if match is None:
        raise InputError(f"{name} has no size: write noise:WIDTHxHEIGHT, as in noise:640x360")
    width, height = fit(int(match[1]), int(match[2]), settings)
    if min(width, height) < _LEAST_SIDE or max(width, height) > MAX_SIDE:
        raise InputError(f"{name}: each side is from {_LEAST_SIDE} to {MAX_SIDE} pixels")
    if width * height > MAX_PIXELS:
        raise InputError(f"{name}: the most is {MAX_PIXELS // 2**20} megapixels")
    random = torch.Generator().manual_seed(seed)
    total = torch.zeros(1, 3, height, width)
    for scale in range(1, 1 + _SCALES):
        size = max(2, height >> scale), max(2, width >> scale)
        total += resize(torch.randn(1, 3, *size, generator=random), (height, width))
    return Still(to_picture((0.5 + _CONTRAST * total / total.std()).clamp(0, 1)))
