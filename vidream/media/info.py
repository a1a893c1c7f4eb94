"""Size, rate and colour of a clip."""

from dataclasses import dataclass, field
from fractions import Fraction

from vidream.core.settings import ReadSettings

MAX_SIDE = 16_384
MAX_PIXELS = 2**26  # twice 8K: more is an invalid header or a decompression bomb


@dataclass(frozen=True, slots=True)
class Colour:
    """Colour tags of ITU-T H.273; range is FFmpeg's (1 limited, 2 full)."""

    range: int = 0
    primaries: int = 2
    transfer: int = 2
    matrix: int = 2

    UNKNOWN = 2
    RGB = 0

    def matrix_for(self, width: int, height: int) -> str:
        """Return FFmpeg's name of the matrix, guessed by size if untagged."""
        tagged = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
        return tagged.get(self.matrix, "bt709" if width >= 1280 or height > 576 else "bt601")


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter; times in seconds, on the clock of the frames."""

    start: Fraction
    end: Fraction
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cover:
    """A cover picture, as it is stored in a file."""

    data: bytes = field(repr=False)
    codec: str = "mjpeg"  # FFmpeg's name
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """Properties of a clip that an encoder needs; None if unknown."""

    width: int  # of the frames as read (upright, scaled)
    height: int
    rate: Fraction | None = None  # mean, in frames per second
    constant_rate: Fraction | None = None  # at which a file without timestamps shows it
    time_base: Fraction = Fraction(1, 25)  # seconds per unit of the frames' timestamps
    frames: int | None = None
    colour: Colour = Colour()
    is_hdr: bool = False  # whether frames have 16 bits
    has_alpha: bool = False  # whether frames have opacity
    peak: float | None = None  # cd/m²; PQ frames are in PqCurve
    sample_aspect_ratio: Fraction = Fraction(1)
    metadata: dict[str, str] = field(default_factory=dict)
    chapters: tuple[Chapter, ...] = ()
    cover: Cover | None = None


def fit(width: int, height: int, settings: ReadSettings) -> tuple[int, int]:
    """Return the width and height that an image is scaled to.

    A side that follows from the other is even, as video codecs need.
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
