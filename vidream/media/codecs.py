"""Containers, the codecs that they hold, and their options."""

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

from vidream.core.errors import OutputError
from vidream.core.settings import WriteSettings
from vidream.media.info import VideoInfo

_CENTISECOND = Fraction(1, 100)  # GIF's clock
_MILLISECOND = Fraction(1, 1000)  # WebP's


@dataclass(frozen=True, slots=True)
class Codec:
    """A video encoder."""

    encoder: str  # FFmpeg's name
    crf: int | None = None  # default constant rate factor, if it has one
    speeds: dict[str, dict[str, str]] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    large: dict[str, str] = field(default_factory=dict)  # for more pixels than LARGE
    pixels: str = "yuv420p"
    odd_pixels: str = "yuv420p"
    hdr_pixels: str | None = None  # None without HDR
    alpha_pixels: str | None = None  # None without transparency
    alpha_options: dict[str, str] = field(default_factory=dict)

    def holds(self, info: VideoInfo) -> bool:
        """Whether it can encode HDR, or transparency, if a video has it."""
        hdr = self.hdr_pixels is not None or not info.is_hdr
        return hdr and (self.alpha_pixels is not None or not info.has_alpha)

    def pixels_for(self, info: VideoInfo) -> str:
        """Return FFmpeg's pixel format for a video."""
        if info.has_alpha and self.alpha_pixels is not None:
            return self.alpha_pixels
        odd = info.width % 2 or info.height % 2
        if not info.is_hdr or self.hdr_pixels is None:
            return self.odd_pixels if odd else self.pixels
        whole = odd and self.odd_pixels == "yuv444p"  # chroma at every pixel
        return self.hdr_pixels.replace("420", "444") if whole else self.hdr_pixels

    def options_for(self, info: VideoInfo, settings: WriteSettings) -> dict[str, str]:
        """Return the options of FFmpeg's encoder for a video."""
        options = self.options | self.speeds.get(settings.codec_speed, {})
        if info.width * info.height > LARGE:
            options |= self.large
        if info.has_alpha:
            options |= self.alpha_options
        if self.crf is not None:
            options["crf"] = str(self.crf if settings.crf is None else settings.crf)
        if self.encoder == "libx264" and _has_avx512():
            # With AVX-512 the macroblock tree of x264 165 reads uninitialized memory, and two runs
            # differ. Without it x264 is as fast.
            options["x264-params"] = "asm=avx2"
        return options


@cache
def _has_avx512() -> bool:
    import torch  # noqa: PLC0415  (slow, and targets are checked before anything slow is done)

    return bool(getattr(torch.cpu, "_is_avx512_supported", bool)())


def _presets(slow: str, medium: str, fast: str, name: str = "preset") -> dict[str, dict[str, str]]:
    return {"slow": {name: slow}, "medium": {name: medium}, "fast": {name: fast}}


# Pixels from which lookahead is 8 frames: at 3840×2160 x264's 40 would hold 1.4 GiB.
LARGE = 2560 * 1440

_X26X = _presets("slow", "medium", "veryfast")
_X265 = "x265-params"
_VP9 = {"deadline": "good", "row-mt": "1", "b": "0"}

# fmt: off
CODECS = {
    "h264": Codec("libx264", 18, _X26X, large={"rc-lookahead": "8"}, odd_pixels="yuv444p"),
    "hevc": Codec(
        "libx265",
        20,
        _X26X,
        {_X265: "log-level=error"},
        {_X265: "log-level=error:rc-lookahead=8"},
        odd_pixels="yuv444p",
        hdr_pixels="yuv420p10le",
    ),
    "vp9": Codec(  # PyAV's libvpx knows 8 bits only
        "libvpx-vp9",
        24,
        _presets("1", "3", "6", "cpu-used"),
        _VP9,
        {"lag-in-frames": "8"},
        alpha_pixels="yuva420p",
        alpha_options={"auto-alt-ref": "0"},  # else it refuses
    ),
    "av1": Codec(
        "libsvtav1",
        26,
        _presets("5", "8", "11"),
        large={"svtav1-params": "lookahead=8"},
        hdr_pixels="yuv420p10le",
    ),
    "prores": Codec(
        "prores_ks",
        options={"profile": "3"},
        pixels="yuv422p10le",
        odd_pixels="yuv422p10le",
        hdr_pixels="yuv422p10le",
        alpha_pixels="yuva444p10le",
        alpha_options={"profile": "4"},
    ),
    "ffv1": Codec(
        "ffv1",
        options={"level": "3"},
        odd_pixels="yuv444p",
        hdr_pixels="yuv420p10le",
        alpha_pixels="yuva420p",
    ),
    "gif": Codec("gif", pixels="pal8", odd_pixels="pal8"),
    "webp": Codec("libwebp_anim", options={"quality": "85"}, alpha_pixels="yuva420p"),
    "raw": Codec("rawvideo", odd_pixels="yuv444p"),
    "lossless": Codec(
        "ffv1", options={"level": "3"}, pixels="bgr0", odd_pixels="bgr0", alpha_pixels="bgra"
    ),
}
# fmt: on


@dataclass(frozen=True, slots=True)
class Container:
    """A kind of file."""

    muxer: str  # FFmpeg's name
    codecs: tuple[str, ...]  # the default one first
    copies: frozenset[str] | None = frozenset()  # audio to copy; None: all it takes
    audio: str | None = None  # encoder for other audio; None for a container without audio
    clock: Fraction | None = None  # fixed time base
    longest: int | None = None  # ticks of it that a picture shows, at most
    options: dict[str, str] = field(default_factory=dict)
    subtitles: frozenset[str] | None = frozenset()  # that it holds; None: all it takes
    chapters: bool = False
    alpha: bool = False  # whether it holds the transparency that a codec does
    cover: str | None = None  # how it holds one: as a "track" or an "attachment"

    @property
    def is_constant_rate(self) -> bool:
        """Whether frames have no timestamps."""
        return self.muxer == "yuv4mpegpipe"

    @property
    def joins(self) -> bool:
        """Whether segments that are encoded separately can be concatenated."""
        return self.codecs[0] not in ("gif", "webp", "raw")


_BITEXACT = {"fflags": "+bitexact"}  # otherwise Matroska's IDs are random
_FASTSTART = {"movflags": "+faststart"}
# Stricter than the muxer: players do not support Vorbis and PCM in MP4.
_MP4_SOUND = frozenset(("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"))
_PCM = (f"pcm_{kind}{order}" for kind in ("s16", "s24", "s32", "f32") for order in ("le", "be"))
_MOV_SOUND = frozenset(("aac", "mp3", "ac3", "eac3", "alac", *_PCM))
_TIMED_TEXT = frozenset(("mov_text",))

# fmt: off
CONTAINERS = {
    ".mp4": Container(
        "mp4", ("h264", "hevc", "av1", "vp9"), _MP4_SOUND, "aac",
        options=_FASTSTART, subtitles=_TIMED_TEXT, chapters=True, cover="track",
    ),
    ".m4v": Container(
        "mp4", ("h264", "hevc"), _MP4_SOUND, "aac",
        options=_FASTSTART, subtitles=_TIMED_TEXT, chapters=True, cover="track",
    ),
    ".mov": Container(
        "mov", ("h264", "hevc", "prores"), _MOV_SOUND, "aac",
        options=_FASTSTART, subtitles=_TIMED_TEXT, chapters=True, alpha=True,
    ),
    ".mkv": Container(
        "matroska", ("h264", "hevc", "vp9", "av1", "prores", "ffv1"), None, "libopus",
        options=_BITEXACT, subtitles=None, chapters=True, alpha=True, cover="attachment",
    ),
    ".webm": Container(
        "webm", ("vp9", "av1"), frozenset(("opus", "vorbis")), "libopus",
        options=_BITEXACT, subtitles=frozenset(("webvtt",)), chapters=True, alpha=True,
    ),
    ".gif": Container(
        "gif", ("gif",), clock=_CENTISECOND, longest=2**16 - 1, options={"loop": "0"}
    ),
    ".webp": Container(
        "webp", ("webp",), clock=_MILLISECOND, longest=2**24 - 1, options={"loop": "0"},
        alpha=True,
    ),
    ".y4m": Container("yuv4mpegpipe", ("raw",)),
    ".nut": Container("nut", ("raw",), None, "pcm_s16le", chapters=True),
}
# fmt: on

# Intermediate storage of the frames of a file that is encoded as a whole.
LOSSLESS = Container("matroska", ("lossless",), alpha=True)


def codec_for(
    container: Container, name: str, settings: WriteSettings, info: VideoInfo | None = None
) -> Codec:
    """Return the codec that the settings choose for a container, and a video if it is known.

    Raises:
        OutputError: the container cannot hold it, or not in HDR, or not with transparency; or it
            has no ``crf``.
    """
    able = [name for name in container.codecs if info is None or CODECS[name].holds(info)]
    able = [] if info is not None and info.has_alpha and not container.alpha else able
    lost, leave_out = ("transparency", "`keep_alpha`")
    holders = ".webm, .mov, .mkv, .webp or pictures (.png, .webp)"
    if info is not None and info.is_hdr:
        lost, leave_out = ("HDR", "`keep_hdr`")
        holders = ".mp4, .mov, .mkv or .webm"
    if not able:
        raise OutputError(f"{name} holds no {lost}: write {holders}, or leave out {leave_out}")
    chosen = settings.codec or able[0]
    if chosen not in container.codecs:
        raise OutputError(f"{name} cannot hold {chosen}: use {' or '.join(container.codecs)}")
    if chosen not in able:
        raise OutputError(
            f"{chosen} holds no {lost}: use {' or '.join(able)}, or leave out {leave_out}"
        )
    codec = CODECS[chosen]
    if settings.crf is not None and codec.crf is None:
        raise OutputError(f"{chosen} has no `crf`: leave it out")
    return codec
