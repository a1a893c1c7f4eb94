"""Reading the source and writing the target."""

from dataclasses import dataclass
from functools import partial

from vidream.core.errors import SettingsError
from vidream.core.settings.options import Validated, option
from vidream.core.settings.terms import parse_rate, parse_time

_input = partial(option, group="Input")
_output = partial(option, group="Output")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings(Validated):
    """Which part of the source is read, and at what size."""

    start: float | None = _input(
        None,
        "Start time: seconds or [H:]MM:SS.",
        metavar="TIME",
        parse=parse_time,
        minimum=0,
        common=True,
    )
    end: float | None = _input(None, "End time.", metavar="TIME", parse=parse_time, minimum=0)
    duration: float | None = _input(
        None, "Length to render.", metavar="TIME", parse=parse_time, minimum=0, common=True
    )
    frames: int | None = _input(
        None, "Number of frames to render.", metavar="N", minimum=1, common=True
    )
    width: int | None = _input(
        None, "Scale to this width, in pixels.", metavar="PIXELS", within=(16, 16384), common=True
    )
    height: int | None = _input(
        None, "Scale to this height, in pixels.", metavar="PIXELS", within=(16, 16384)
    )
    max_side: int | None = _input(
        None,
        "Scale the longer side down to this, in pixels.",
        metavar="PIXELS",
        within=(16, 16384),
        common=True,
    )
    fps: float | None = _input(
        None,
        "Frame rate: frames are dropped or repeated.",
        metavar="RATE",
        parse=parse_rate,
        within=(0.01, 1000),
        common=True,
    )
    audio: str | None = _input(None, "Replace the sound.", metavar="FILE", common=True)
    keep_hdr: bool = _input(False, "Keep HDR: 10 bits, as HEVC by default.")
    keep_alpha: bool = _input(
        False, "Keep transparency: WebM, MOV (ProRes 4444), MKV, WebP or PNG."
    )

    def __post_init__(self) -> None:
        Validated.__post_init__(self)
        if self.end is not None and self.duration is not None:
            raise SettingsError("give either `end` or `duration`, not both")
        if self.end is not None and self.end <= (self.start or 0):
            raise SettingsError("`end` is not after `start`: nothing would be left")
        if self.duration == 0:
            raise SettingsError("`duration` is 0: nothing would be left")
        if self.max_side is not None and (self.width is not None or self.height is not None):
            raise SettingsError("give either `max_side` or `width` and `height`, not both")

    @property
    def stop(self) -> float | None:
        """End of reading, in seconds from the beginning of the source."""
        if self.duration is not None:
            return (self.start or 0) + self.duration
        return self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSettings(Validated):
    """How the target is encoded."""

    codec: str | None = _output(
        None,
        "Video codec. Unset: the container's usual one.",
        choices=("h264", "hevc", "vp9", "av1", "prores", "ffv1"),
    )
    crf: int | None = _output(
        None, "Video quality: lower is better.", metavar="N", within=(0, 63), common=True
    )
    codec_speed: str = _output(
        "medium", "Encoding speed: slow gives smaller files.", choices=("slow", "medium", "fast")
    )
    format: str = _output("y4m", "Format of a pipe.", choices=("y4m", "nut"))
    overwrite: bool = _output(False, "Replace existing output.", common=True, per_run=True)
    resume: bool = _output(
        False,
        "Resume an interrupted run; start anew if there is none.",
        common=True,
        per_run=True,
    )
    keep_work: bool = _output(False, "Keep the work folder, .TARGET.vidream.", per_run=True)
