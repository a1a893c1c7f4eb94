"""What is known of a clip: its size, rate, colour and sound. No decoder is needed to read this."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, BinaryIO

from vidream.settings import ReadSettings

Place = str | os.PathLike[str] | BinaryIO
"""A file's path, ``"-"`` for standard input or output, or a binary stream."""

MAX_SIDE = 16_384
MAX_PIXELS = 2**26  # twice 8K: more is a lie or a bomb, not a recording


def is_pipe(place: Place) -> bool:
    """Whether this is a stream and not a file with a name."""
    return not isinstance(place, (str, os.PathLike)) or os.fspath(place) == "-"


@dataclass(frozen=True, slots=True)
class Colour:
    """Colour tags, as numbers of ITU-T H.273; range is FFmpeg's (1 limited, 2 full)."""

    range: int = 0
    primaries: int = 2
    transfer: int = 2
    matrix: int = 2

    UNKNOWN = 2
    RGB = 0

    def matrix_for(self, width: int, height: int) -> str:
        """Give FFmpeg's name of the matrix; untagged pictures are guessed as players guess."""
        tagged = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
        return tagged.get(self.matrix, "bt709" if width >= 1280 or height > 576 else "bt601")


@dataclass(frozen=True, slots=True)
class AudioPacket:
    """A packet of sound on its way to the writer.

    Args:
        track: number of the audio track, from 0.
        packet: the packet, with its own timestamps.
    """

    track: int
    packet: Any = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What the writer must know of the source.

    Args:
        width: width of the frames as delivered (turned upright, scaled), in pixels.
        height: height likewise.
        rate: frames a second, None if the source does not say.
        time_base: seconds per unit of the frames' timestamps.
        frames: how many frames are to be expected, None if the source does not tell.
        colour: colour tags.
        deep: whether the frames are HDR of 16 bits, to be written in 10 or more.
        peak: brightest light of the source in cd/m², None if it does not say. Frames in PQ are
            delivered as :class:`vidream.hdr.PqCurve` has them.
        sample_aspect_ratio: width of a pixel over its height.
        metadata: title, artist and the like.
        audio: the audio tracks, as templates for the writer as long as their reader is open.
    """

    width: int
    height: int
    rate: Fraction | None = None
    time_base: Fraction = Fraction(1, 25)
    frames: int | None = None
    colour: Colour = Colour()
    deep: bool = False
    peak: float | None = None
    sample_aspect_ratio: Fraction = Fraction(1)
    metadata: dict[str, str] = field(default_factory=dict)
    audio: tuple[Any, ...] = ()


def fit(width: int, height: int, settings: ReadSettings) -> tuple[int, int]:
    """Give the width and height that a picture of this size is scaled to.

    A side that follows from the other is rounded to an even number, which video codecs want;
    without any wish the size stays as it is, odd or even.
    """
    if settings.width and settings.height:
        return settings.width, settings.height
    if settings.width:
        return settings.width, _even(height * settings.width / width)
    if settings.height:
        return _even(width * settings.height / height), settings.height
    longer = max(width, height)
    if settings.max_side and longer > settings.max_side:
        scale = settings.max_side / longer
        return _even(width * scale), _even(height * scale)
    return width, height


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))
