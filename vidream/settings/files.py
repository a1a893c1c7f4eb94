"""What is read, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass

from vidream.errors import SettingsError
from vidream.settings.film import OCTAVE_RATE, ZOOM_RATE, ZOOM_SECONDS
from vidream.settings.options import Validated, option
from vidream.settings.terms import parse_time


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings(Validated):
    """Which part of the source is read, and at what size."""

    start: float | None = option(
        None,
        "Begin at this time: seconds or [H:]MM:SS.",
        metavar="TIME",
        parse=parse_time,
        minimum=0,
        common=True,
    )
    end: float | None = option(
        None, "Stop at this time.", metavar="TIME", parse=parse_time, minimum=0
    )
    duration: float | None = option(
        None,
        f"Stop after this long. Unset, for a zoom: {ZOOM_SECONDS} seconds.",
        metavar="TIME",
        parse=parse_time,
        minimum=0,
        common=True,
    )
    frames: int | None = option(None, "Stop after this many frames.", metavar="N", minimum=1)
    width: int | None = option(
        None,
        "Scale to this width; the height follows unless given.",
        metavar="PIXELS",
        minimum=16,
        maximum=16384,
        common=True,
    )
    height: int | None = option(
        None,
        "Scale to this height; the width follows unless given.",
        metavar="PIXELS",
        minimum=16,
        maximum=16384,
    )
    max_side: int | None = option(
        None,
        "Scale down so that the longer side is at most this.",
        metavar="PIXELS",
        minimum=16,
        maximum=16384,
    )
    fps: float | None = option(
        None,
        "Drop or repeat frames to this rate, before they are dreamed. Unset, for films of a "
        f"still: {OCTAVE_RATE} for octaves, {ZOOM_RATE} for a zoom.",
        metavar="RATE",
        minimum=0.01,
        maximum=1000,
    )

    audio: str | None = option(
        None,
        "File whose sound the dream has, and settings follow, in place of the clip's own. It "
        "runs in step with the clip.",
        metavar="FILE",
    )
    keep_hdr: bool = option(
        False,
        "Keep HDR: dream its signal as it is, and write 10 bits of it, usually as HEVC. "
        "Unset: HDR is made SDR.",
    )

    def __post_init__(self) -> None:
        """Check ranges, and that the limits agree."""
        Validated.__post_init__(self)
        if self.end is not None and self.duration is not None:
            raise SettingsError("give either end or duration, not both")
        if self.end is not None and self.end <= (self.start or 0):
            raise SettingsError("end is not after start: nothing would be left")
        if self.duration == 0:
            raise SettingsError("duration is 0: nothing would be left")
        if self.max_side is not None and (self.width is not None or self.height is not None):
            raise SettingsError("give either max-side or width and height, not both")

    @property
    def stop(self) -> float | None:
        """Time at which reading stops, in seconds from the beginning of the source."""
        if self.duration is not None:
            return (self.start or 0) + self.duration
        return self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSettings(Validated):
    """How the dream is encoded."""

    codec: str | None = option(
        None,
        "Video codec. Unset: the container's usual one (H.264, or VP9 in WebM).",
        choices=("h264", "hevc", "vp9", "av1", "prores", "ffv1"),
    )
    crf: int | None = option(
        None,
        "Quality of the video, lower is better. Unset: the codec's usual (18 for H.264).",
        metavar="N",
        minimum=0,
        maximum=63,
    )
    codec_speed: str = option(
        "medium",
        "Time the encoder spends on making the file small.",
        choices=("slow", "medium", "fast"),
    )
    format: str = option("y4m", "What is written to a pipe (-o -).", choices=("y4m", "nut"))
    overwrite: bool = option(False, "Replace the output if it is there.", common=True)
    resume: bool = option(
        False,
        "Go on where a run that was cut short stopped; from the beginning if there is none.",
        common=True,
    )
    keep_work: bool = option(
        False, "Keep the work folder, .TARGET.vidream, when the output is whole."
    )
