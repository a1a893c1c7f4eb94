"""Pictures, read and written with Pillow."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image, ImageFile, ImageOps, PngImagePlugin

from vidream.core.errors import InputError
from vidream.core.frames import Picture
from vidream.core.settings import ReadSettings, WriteSettings
from vidream.media.atomic import AtomicFile, cannot_write
from vidream.media.info import MAX_PIXELS, fit
from vidream.media.places import Place, Source, StillTarget, check_source, parse_source

_log = logging.getLogger(__name__)

_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 95, "method": 4}),
}
_DESCRIPTION = 0x010E  # EXIF's ImageDescription


@dataclass(frozen=True, slots=True)
class Still:
    """An RGB picture, uint8 ``[H, W, 3]``, and its metadata; a comment is only written."""

    image: Picture = field(repr=False)
    icc_profile: bytes | None = field(default=None, repr=False)
    comment: str | None = field(default=None, repr=False)

    def replaced(self, image: Picture, comment: str | None = None) -> Self:
        """Return another picture with the same colour profile."""
        return replace(self, image=image, comment=comment)


def read_still(place: Source | Place, settings: ReadSettings) -> Still:
    """Read a picture: upright by its EXIF orientation, RGB, on black, scaled."""
    opened, profile = _open(place)
    image = _rgb(opened)
    size = fit(*image.size, settings)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    return Still(np.array(image), profile)


def read_mask(place: Source | Place) -> Picture:
    """Read a mask, white being 1, from the alpha channel, or from the colours of an opaque picture.

    Uint8 ``[H, W, 3]``, upright, unscaled.
    """
    opened, _ = _open(place)
    if "A" in opened.getbands() or "transparency" in opened.info:
        alpha = opened.convert("RGBA").getchannel("A")
        if np.array(alpha).min() < 255:
            return np.array(alpha.convert("RGB"))
    return np.array(_rgb(opened))


def _open(place: Source | Place) -> tuple[Image.Image, bytes | None]:
    """Return a picture turned upright, in its own mode, and its colour profile."""
    source = parse_source(place)
    with _reading(source, ["PNG", "JPEG", "WEBP"]) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise InputError(
                f"{source.name} has {opened.width}×{opened.height} pixels; the most that is "
                f"read is {MAX_PIXELS // 2**20} megapixels: scale it down first"
            )
        if getattr(opened, "n_frames", 1) > 1:
            _log.info("%s is animated: its first picture is used", source.name)
        # The profile of CMYK describes inks, not what becomes of them in RGB.
        profile = None if opened.mode == "CMYK" else opened.info.get("icc_profile")
        return ImageOps.exif_transpose(opened), profile


@contextmanager
def _reading(source: Source, formats: list[str]) -> Iterator[ImageFile.ImageFile]:
    """Open a picture, turning errors into :class:`InputError`."""
    check_source(source)
    try:
        with Image.open(source.name, formats=formats) as opened:
            yield opened
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        why = getattr(error, "strerror", None) or "it is damaged, or no PNG, JPEG or WebP"
        raise InputError(f"{source.name} is not a picture that can be read: {why}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey: Pillow would clip it, not scale it
        image = Image.fromarray((np.asarray(image, np.float32) / 257).round().astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    return image.convert("RGB")


def write_still(target: StillTarget, still: Still, settings: WriteSettings) -> None:
    """Write a picture, atomically."""
    draft = AtomicFile(target.path, overwrite=settings.overwrite)
    try:
        save_picture(draft.path, still)
    except BaseException:
        draft.discard()
        raise
    draft.commit()


def save_picture(path: Path, still: Still) -> None:
    """Write a picture in the format of the path's suffix."""
    kind, options = _FORMATS[path.suffix.lower()]
    if still.icc_profile:
        options = {**options, "icc_profile": still.icc_profile}
    if still.comment is not None:
        options = {**options, **_comment_options(kind, still.comment)}
    try:
        Image.fromarray(still.image).save(path, format=kind, **options)
    except OSError as error:
        raise cannot_write(path, error) from error


def _comment_options(kind: str, comment: str) -> dict[str, Any]:
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", comment)
        return {"pnginfo": text}
    if kind == "JPEG":
        return {"comment": comment.encode()}
    return {"exif": exif_of(comment)}


def exif_of(comment: str) -> bytes:
    """Return EXIF with this description, as WebP holds it."""
    exif = Image.Exif()
    exif[_DESCRIPTION] = comment
    return exif.tobytes().removeprefix(b"Exif\0\0")


def read_still_comment(place: Source | Place) -> str | None:
    """Return the comment of a picture or a GIF; None if it has none."""
    with _reading(parse_source(place), ["PNG", "JPEG", "WEBP", "GIF"]) as opened:
        found = opened.info.get("Comment") or opened.info.get("comment")
        if found is None and opened.format == "WEBP":
            found = opened.getexif().get(_DESCRIPTION)
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else found
