"""Stills: single pictures, read and written."""

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from vidream.core.errors import InputError, OutputError
from vidream.core.frames import Alpha, Picture
from vidream.core.settings import ReadSettings, WriteSettings
from vidream.media.atomic import AtomicFile, cannot_write
from vidream.media.info import fit
from vidream.media.kinds import has_tiles, is_heic
from vidream.media.pictures import on_black, open_picture, opens_heic, upright
from vidream.media.places import FileSource, Place, Source, StillTarget, VideoFile, parse_source
from vidream.media.reader import open_reader

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
    alpha: Alpha | None = field(default=None, repr=False)
    icc_profile: bytes | None = field(default=None, repr=False)
    comment: str | None = field(default=None, repr=False)

    def replaced(self, image: Picture, comment: str | None = None) -> Self:
        """Return another picture with the same transparency and colour profile."""
        return replace(self, image=image, comment=comment)


def read_still(place: Source | Place, settings: ReadSettings) -> Still:
    """Read a picture: upright by its EXIF orientation, RGB, scaled.

    On black, unless ``settings.keep_alpha``: then its transparency is kept beside its colours.
    """
    source = parse_source(place)
    if isinstance(source, FileSource) and is_heic(source.path) and not opens_heic():
        return _read_heic(source, settings)
    with open_picture(source) as opened:
        if getattr(opened, "n_frames", 1) > 1:
            _log.info("%s holds several pictures: its first one is used", source.name)
        # The profile of CMYK describes inks, not what becomes of them in RGB.
        profile = None if opened.mode == "CMYK" else opened.info.get("icc_profile")
        image = upright(opened)
    size = fit(*image.size, settings)
    if image.mode == "RGBA" and not settings.keep_alpha:
        image = Image.fromarray(on_black(np.array(image)))
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    picture: npt.NDArray[np.uint8] = np.array(image)
    alpha = picture[:, :, 3].copy() if picture.shape[2] == 4 else None
    return Still(np.ascontiguousarray(picture[:, :, :3]), alpha, profile)


def _read_heic(source: FileSource, settings: ReadSettings) -> Still:
    """Read a picture with FFmpeg, which knows no tiles."""
    if has_tiles(source.path):
        raise InputError(
            f"{source.name} is made of tiles, as phones make them: pip install 'vidream[heic]', or "
            "save it as JPEG"
        )
    with open_reader(VideoFile(source.path), settings) as reader:
        for frame in reader:
            return Still(frame.image.view(np.uint8), frame.alpha)
    raise InputError(f"{source.name} is not a picture that can be read: it is damaged")


def write_still(target: StillTarget, still: Still, settings: WriteSettings) -> None:
    """Write a picture, atomically."""
    draft = AtomicFile(target.path, overwrite=settings.overwrite)
    try:
        save_picture(draft.path, still)
    except BaseException:
        draft.discard()
        raise
    draft.commit()


def check_alpha(path: Path, *, has_alpha: bool) -> None:
    """Raise :class:`OutputError` for a picture that cannot hold its transparency."""
    if has_alpha and _FORMATS[path.suffix.lower()][0] == "JPEG":
        raise OutputError("JPEG holds no transparency: write .png or .webp, or no `keep_alpha`")


def save_picture(path: Path, still: Still) -> None:
    """Write a picture in the format of the path's suffix."""
    kind, options = _FORMATS[path.suffix.lower()]
    if still.icc_profile:
        options = {**options, "icc_profile": still.icc_profile}
    if still.comment is not None:
        options = {**options, **_comment_options(kind, still.comment)}
    picture = still.image
    if still.alpha is not None:
        picture = np.dstack((picture, still.alpha))
    try:
        Image.fromarray(picture).save(path, format=kind, **options)
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
    """Return the comment of a picture or an animation; None if it has none."""
    with open_picture(parse_source(place)) as opened:
        found = opened.info.get("Comment") or opened.info.get("comment")
        if found is None and opened.format == "WEBP":
            found = opened.getexif().get(_DESCRIPTION)
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else found
