"""Pictures as Pillow reads them."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps

from vidream.core.errors import InputError
from vidream.core.frames import Picture
from vidream.media.checks import check_source
from vidream.media.info import MAX_PIXELS
from vidream.media.places import Source

# What Pillow's readers raise for files that are damaged, or too large.
DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error),
    *(IndexError, KeyError, TypeError, MemoryError, OverflowError, Image.DecompressionBombError),
)
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF")


@cache
def opens_heic() -> bool:
    """Whether Pillow opens HEIC: with the package pillow-heif."""
    try:
        import pillow_heif  # noqa: PLC0415
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


@contextmanager
def open_picture(source: Source) -> Iterator[ImageFile.ImageFile]:
    """Open a picture, turning errors into :class:`InputError`."""
    check_source(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, and of odd tags
            formats = (*_FORMATS, "HEIF") if opens_heic() else _FORMATS
            with Image.open(source.name, formats=formats) as opened:
                _check_size(source, opened)
                yield opened
    except DAMAGED as error:
        why = getattr(error, "strerror", None) or "it is damaged, or no picture"
        raise InputError(f"{source.name} is not a picture that can be read: {why}") from error


def _check_size(source: Source, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise InputError(
            f"{source.name} has {image.width}×{image.height} pixels; the most that is "
            f"read is {MAX_PIXELS // 2**20} megapixels: scale it down first"
        )


def upright(image: Image.Image) -> Image.Image:
    """Return a picture turned by its EXIF orientation, as RGB, or RGBA if it has transparency."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey: Pillow would clip it, not scale it
        image = Image.fromarray((np.asarray(image, np.float32) / 257).round().astype(np.uint8))
    elif image.mode == "F":
        levels = np.nan_to_num(np.asarray(image))
        scale = 255 if levels.max(initial=0) <= 1 else 1
        image = Image.fromarray((levels * scale).round().clip(0, 255).astype(np.uint8))
    transparent = "A" in image.getbands() or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def on_black(picture: npt.NDArray[np.uint8]) -> Picture:
    """Return an RGBA picture, uint8 ``[H, W, 4]``, on black: ``[H, W, 3]``."""
    share = picture[:, :, 3:].astype(np.uint16)
    return ((picture[:, :, :3] * share + 127) // 255).astype(np.uint8)


def animation(source: Source) -> Iterator[tuple[npt.NDArray[np.uint8], int]]:
    """Yield the pictures of an animation, ``[H, W, 3 or 4]``, and how long each shows, in ms."""
    with open_picture(source) as opened:
        for number in range(getattr(opened, "n_frames", 1)):
            opened.seek(number)
            picture = np.array(upright(opened))
            yield picture, round(opened.info.get("duration") or 0)
