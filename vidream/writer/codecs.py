"""What can be written: the kinds of files, the codecs that they hold, and how these are set."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import torch

from vidream.errors import OutputError
from vidream.media import VideoInfo
from vidream.settings import WriteSettings
from vidream.stills import is_still

_CENTISECOND = Fraction(1, 100)  # GIF's clock
_MILLISECOND = Fraction(1, 1000)  # WebP's


@dataclass(frozen=True, slots=True)
class Codec:
    """A video encoder.

    Args:
        encoder: FFmpeg's name for it.
        crf: its usual quality; None if it has no such scale.
        speeds: options by speed.
        options: options in any case.
        large: options for frames of more than :data:`LARGE` pixels.
        pixels: format of its pixels.
        odd_pixels: the same for odd sizes.
        deep_pixels: the same for HDR; None if it holds none.
    """

    encoder: str
    crf: int | None = None
    speeds: dict[str, dict[str, str]] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    large: dict[str, str] = field(default_factory=dict)
    pixels: str = "yuv420p"
    odd_pixels: str = "yuv420p"
    deep_pixels: str | None = None

    def pixels_for(self, info: VideoInfo) -> str:
        """Give the format of the pixels of a video."""
        odd = info.width % 2 or info.height % 2
        if not info.deep or self.deep_pixels is None:
            return self.odd_pixels if odd else self.pixels
        whole = odd and self.odd_pixels == "yuv444p"  # chroma at every pixel
        return self.deep_pixels.replace("420", "444") if whole else self.deep_pixels


def _presets(slow: str, medium: str, fast: str, name: str = "preset") -> dict[str, dict[str, str]]:
    return {"slow": {name: slow}, "medium": {name: medium}, "fast": {name: fast}}


LARGE = 2560 * 1440
"""Pixels of a frame from which encoders look ahead no more than 8 frames.

At 3840×2160 x264 would hold 1.4 GiB to look ahead 40 frames, for a file a few percent smaller.
"""

_X26X = _presets("slow", "medium", "veryfast")
# With AVX-512 the macroblock tree of x264 165 depends on what happens to lie in memory, and two
# runs differ. Without it x264 takes as long.
_AVX512 = getattr(torch.cpu, "_is_avx512_supported", bool)()
_X264 = {"x264-params": "asm=avx2"} if _AVX512 else {}
_VP9 = {"deadline": "good", "row-mt": "1", "b": "0"}

CODECS = {
    "h264": Codec("libx264", 18, _X26X, _X264, {"rc-lookahead": "8"}, odd_pixels="yuv444p"),
    "hevc": Codec(
        "libx265",
        20,
        _X26X,
        {"x265-params": "log-level=error"},
        {"x265-params": "log-level=error:rc-lookahead=8"},
        odd_pixels="yuv444p",
        deep_pixels="yuv420p10le",
    ),
    "vp9": Codec(  # PyAV's libvpx knows 8 bits only
        "libvpx-vp9", 24, _presets("1", "3", "6", "cpu-used"), _VP9, {"lag-in-frames": "8"}
    ),
    "av1": Codec(
        "libsvtav1",
        26,
        _presets("5", "8", "11"),
        large={"svtav1-params": "lookahead=8"},
        deep_pixels="yuv420p10le",
    ),
    "prores": Codec(
        "prores_ks",
        None,
        {},
        {"profile": "3"},
        pixels="yuv422p10le",
        odd_pixels="yuv422p10le",
        deep_pixels="yuv422p10le",
    ),
    "ffv1": Codec(
        "ffv1", None, {}, {"level": "3"}, odd_pixels="yuv444p", deep_pixels="yuv420p10le"
    ),
    "gif": Codec("gif", pixels="pal8", odd_pixels="pal8"),
    "webp": Codec("libwebp_anim", None, {}, {"quality": "85"}),
    "raw": Codec("rawvideo", odd_pixels="yuv444p"),
    "lossless": Codec("ffv1", options={"level": "3"}, pixels="bgr0", odd_pixels="bgr0"),
}


@dataclass(frozen=True, slots=True)
class Container:
    """A kind of file: FFmpeg's muxer, the codecs it can hold (the usual one first), its sound.

    Args:
        copies: audio codecs that go in as they are; None for whatever the muxer takes.
        audio: encoder for any other; None for a container without sound.
        clock: time base that it forces on its frames.
    """

    muxer: str
    codecs: tuple[str, ...]
    copies: frozenset[str] | None = frozenset()
    audio: str | None = None
    clock: Fraction | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def joins(self) -> bool:
        """Whether pieces of it, each encoded alone, can be joined as they are."""
        return self.codecs[0] not in ("gif", "webp", "raw")


_NO_DICE = {"fflags": "+bitexact"}  # Matroska's names of tracks and files are drawn at random
_FASTSTART = {"movflags": "+faststart"}
# Stricter than the muxer, which puts Vorbis and PCM into MP4 where players do not look for them.
_MP4_SOUND = frozenset(("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"))
_MOV_SOUND = frozenset(("aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le"))

CONTAINERS = {
    ".mp4": Container("mp4", ("h264", "hevc", "av1", "vp9"), _MP4_SOUND, "aac", None, _FASTSTART),
    ".m4v": Container("mp4", ("h264", "hevc"), _MP4_SOUND, "aac", None, _FASTSTART),
    ".mov": Container("mov", ("h264", "hevc", "prores"), _MOV_SOUND, "aac", None, _FASTSTART),
    ".mkv": Container(
        "matroska",
        ("h264", "hevc", "vp9", "av1", "prores", "ffv1"),
        None,
        "libopus",
        options=_NO_DICE,
    ),
    ".webm": Container(
        "webm", ("vp9", "av1"), frozenset(("opus", "vorbis")), "libopus", options=_NO_DICE
    ),
    ".gif": Container("gif", ("gif",), clock=_CENTISECOND, options={"loop": "0"}),
    ".webp": Container("webp", ("webp",), clock=_MILLISECOND, options={"loop": "0"}),
    ".y4m": Container("yuv4mpegpipe", ("raw",)),
    ".nut": Container("nut", ("raw",), None, "pcm_s16le"),
}

LOSSLESS = Container("matroska", ("lossless",))
"""What holds the pictures of a file that is encoded as a whole, until they are all there."""


def container_of(path: Path) -> Container:
    """Give the kind of file that a path's suffix names.

    Raises:
        OutputError: there is none of that suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS:
        if is_still(path):
            raise OutputError(
                f"{path} is a single picture: for a video give a pattern such as frames/%05d.png"
            )
        raise OutputError(
            f"{path.name} has an unknown suffix: use one of {' '.join(CONTAINERS)}, or pictures "
            "(frames/%05d.png)"
        )
    return CONTAINERS[suffix]


def codec_for(
    container: Container, name: str, settings: WriteSettings, *, deep: bool = False
) -> Codec:
    """Give the codec that the settings choose for a kind of file; ``deep`` for HDR.

    Raises:
        OutputError: that kind cannot hold it, or it has no such quality.
    """
    able = [name for name in container.codecs if not deep or CODECS[name].deep_pixels is not None]
    if not able:
        raise OutputError(f"{name} holds no HDR: write .mp4, .mov, .mkv or .webm, or no --keep-hdr")
    chosen = settings.codec or able[0]
    if chosen not in container.codecs:
        raise OutputError(f"{name} cannot hold {chosen}: use {' or '.join(container.codecs)}")
    if chosen not in able:
        raise OutputError(f"{chosen} holds no HDR: use {' or '.join(able)}, or no --keep-hdr")
    codec = CODECS[chosen]
    if settings.crf is not None and codec.crf is None:
        raise OutputError(f"{chosen} has no --crf: leave it out")
    return codec
