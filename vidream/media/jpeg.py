"""JPEG in memory, for pages."""

import io

import numpy as np
from PIL import Image

from vidream.core.errors import InputError
from vidream.core.frames import Picture
from vidream.media.pictures import DAMAGED, upright


def to_jpeg(picture: Picture, quality: int = 85) -> bytes:
    """Return a picture, uint8 ``[H, W, 3]``, as JPEG."""
    made = io.BytesIO()
    Image.fromarray(picture).save(made, "JPEG", quality=quality)
    return made.getvalue()


def from_jpeg(data: bytes, most_pixels: int) -> Picture:
    """Return the picture of a JPEG or WebP, uint8 ``[H, W, 3]`` RGB.

    Raises:
        InputError: it is none, or has more pixels than that.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "WEBP")) as opened:
            if opened.width * opened.height > most_pixels:
                raise InputError(f"a picture of {opened.width}×{opened.height} pixels is too large")
            return np.array(upright(opened).convert("RGB"))
    except DAMAGED as error:
        raise InputError("that is neither a JPEG nor a WebP that can be read") from error
