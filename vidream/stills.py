"""Pictures: reading and writing stills and numbered sequences, with Pillow."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

from vidream.drafts import Draft, cannot_write, exists
from vidream.errors import InputError, OutputError
from vidream.frames import Frame, Picture, to_eight_bits
from vidream.media import MAX_PIXELS, AudioPacket, Place, fit, is_pipe
from vidream.settings import ReadSettings, WriteSettings

_log = logging.getLogger(__name__)

_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 95, "method": 4}),
}
_DESCRIPTION = 0x010E  # EXIF's ImageDescription
_NUMBER = re.compile(r"%0?(\d*)d")


@dataclass(frozen=True, slots=True)
class Still:
    """A picture, and what goes with it into the file.

    Args:
        image: RGB picture, uint8 ``[height, width, 3]``.
        icc_profile: its colour profile, if it has one.
        comment: what the file shall say besides; none is read.
    """

    image: Picture = field(repr=False)
    icc_profile: bytes | None = field(default=None, repr=False)
    comment: str | None = field(default=None, repr=False)

    def replaced(self, image: Picture, comment: str | None = None) -> Still:
        """Give another picture with the same colour profile."""
        return replace(self, image=image, comment=comment)


def is_still(place: Place) -> bool:
    """Whether a path names a single picture."""
    if is_pipe(place) or is_sequence(place):
        return False
    return Path(os.fspath(place)).suffix.lower() in _FORMATS  # type: ignore[arg-type]


def is_sequence(place: Place) -> bool:
    """Whether a path is a pattern of numbered pictures, such as ``frames/%05d.png``."""
    return not is_pipe(place) and bool(_NUMBER.search(os.path.basename(os.fspath(place))))  # type: ignore[arg-type]  # noqa: PTH119


def read_still(source: Place, settings: ReadSettings) -> Still:
    """Read a picture: upright by its EXIF orientation, RGB, scaled as the settings say.

    Transparency is laid over black.

    Raises:
        InputError: there is no picture to read there.
    """
    opened, profile = _open(os.fspath(source))  # type: ignore[arg-type]
    image = _rgb(opened)
    size = fit(*image.size, settings)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    return Still(np.array(image), profile)


def read_mask(source: Place) -> Picture:
    """Read a picture that says how much of something is to be seen: white all, black nothing.

    One that is transparent anywhere says so by its opacity, and its colours do not matter. Many
    programs give every picture an alpha channel: one that is opaque all over says nothing.

    Returns:
        Uint8 ``[H, W, 3]``, upright, at its own size.

    Raises:
        InputError: there is no picture to read there.
    """
    opened, _ = _open(os.fspath(source))  # type: ignore[arg-type]
    if "A" in opened.getbands() or "transparency" in opened.info:
        alpha = opened.convert("RGBA").getchannel("A")
        if np.array(alpha).min() < 255:
            return np.array(alpha.convert("RGB"))
    return np.array(_rgb(opened))


def _open(name: str) -> tuple[Image.Image, bytes | None]:
    """Give a picture turned upright, in its own mode, and its colour profile.

    Raises:
        InputError: there is no picture to read there.
    """
    try:
        with Image.open(name, formats=["PNG", "JPEG", "WEBP"]) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise InputError(
                    f"{name} has {opened.width}×{opened.height} pixels; the most that is read is "
                    f"{MAX_PIXELS // 2**20} megapixels: scale it down first"
                )
            if getattr(opened, "n_frames", 1) > 1:
                _log.info("%s is animated: its first picture is used", name)
            profile = opened.info.get("icc_profile")
            upright = ImageOps.exif_transpose(opened)
            if opened.mode == "CMYK":
                profile = None  # it describes inks, not what becomes of them in RGB
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(_why_not(name, error)) from error
    return upright, profile


def _why_not(name: str, error: Exception) -> str:
    path = Path(name)
    if not path.exists():
        return f"there is no file {name}: check the name"
    if path.is_dir():
        return f"{name} is a folder: give one picture"
    reason = getattr(error, "strerror", None) or "it is damaged, or no PNG, JPEG or WebP"
    return f"{name} is not a picture that can be read: {reason}"


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey: Pillow would clip it, not scale it
        image = Image.fromarray((np.asarray(image, np.float32) / 257).round().astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    return image.convert("RGB")


def write_still(target: Place, still: Still, settings: WriteSettings) -> None:
    """Write a picture; it appears under its name when it is whole.

    Raises:
        OutputError: it cannot be written there.
    """
    path = Path(os.fspath(target))  # type: ignore[arg-type]
    draft = Draft(path, overwrite=settings.overwrite)
    try:
        save_picture(draft.path, path.suffix, still)
    except BaseException:
        draft.discard()
        raise
    draft.publish()


def save_picture(path: Path, suffix: str, still: Still) -> None:
    """Write a picture of the kind that a suffix names, at once under its name.

    Raises:
        OutputError: it cannot be written there.
    """
    kind, options = _FORMATS[suffix.lower()]
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
    """Give EXIF that describes its picture so, as WebP holds it."""
    exif = Image.Exif()
    exif[_DESCRIPTION] = comment
    return exif.tobytes().removeprefix(b"Exif\0\0")


def read_still_comment(name: str) -> str | None:
    """Read the comment of a picture or a GIF; None if it has none.

    Raises:
        InputError: there is no picture to read there.
    """
    try:
        with Image.open(name, formats=["PNG", "JPEG", "WEBP", "GIF"]) as opened:
            found = opened.info.get("Comment") or opened.info.get("comment")
            if found is None and opened.format == "WEBP":
                found = opened.getexif().get(_DESCRIPTION)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(_why_not(name, error)) from error
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else found


class SequenceWriter:
    """Numbered pictures, gathered in a hidden folder and moved into place together.

    Args:
        pattern: path such as ``frames/%05d.png``; its folder is made if it is not there.
        settings: whether older pictures of the pattern may be replaced.
        comment: written into each of them.

    Raises:
        OutputError: there are such pictures already, or the folder cannot be written.
    """

    def __init__(self, pattern: str, settings: WriteSettings, comment: str | None = None) -> None:
        self._comment = comment
        self._folder, self._name = Path(pattern).parent, Path(pattern).name
        self._suffix = Path(pattern).suffix.lower()
        pictures_of(Path(pattern), overwrite=settings.overwrite)
        self._made_folder = not self._folder.exists()
        self._written: list[Path] = []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._draft = Path(tempfile.mkdtemp(prefix=".vidream-", dir=self._folder))
        except OSError as error:
            raise cannot_write(pattern, error) from error

    def __enter__(self) -> SequenceWriter:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._draft, ignore_errors=True)
        if self._made_folder:
            with contextlib.suppress(OSError):  # not empty: it holds the pictures
                self._folder.rmdir()

    def write(self, frame: Frame) -> None:
        """Write a picture, numbered from 1."""
        path = self._draft / (self._name % (len(self._written) + 1))
        picture = to_eight_bits(frame.image)
        save_picture(path, self._suffix, Still(picture, comment=self._comment))
        self._written.append(path)

    def write_audio(self, packet: AudioPacket) -> None:
        """Pictures have no sound."""

    def finish(self) -> None:
        """Move the pictures into place.

        Older ones that are not replaced are removed: what is left of a longer run would be taken
        for the end of this one.
        """
        try:
            for older in pictures_of(self._folder / self._name, overwrite=True):
                older.unlink()
            for path in self._written:
                path.replace(self._folder / path.name)
        except OSError as error:
            raise cannot_write(self._folder, error) from error


def pictures_of(pattern: Path, *, overwrite: bool) -> list[Path]:
    """Find pictures that a pattern such as ``frames/%05d.png`` names.

    Raises:
        OutputError: the pattern names none of a known kind, or there are some that may not be
            replaced.
    """
    if pattern.suffix.lower() not in _FORMATS:
        raise OutputError(
            f"pictures are {', '.join(_FORMATS)}; not {pattern.suffix.lower() or pattern}"
        )
    if not pattern.parent.is_dir():
        return []
    before, digits, after = re.split(r"%0?(\d*)d", pattern.name, maxsplit=1)
    count = f"{{{digits},}}" if digits else "+"
    shape = re.compile(re.escape(before) + rf"\d{count}" + re.escape(after))
    found = sorted(path for path in pattern.parent.iterdir() if shape.fullmatch(path.name))
    if found and not overwrite:
        raise exists(pattern)
    return found
