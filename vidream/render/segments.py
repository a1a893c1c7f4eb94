"""Videos in playable segments, which are joined without encoding them again.

A segment begins with a scene, and after a fixed number of frames. So it depends on the source
alone where segments begin: a run that was interrupted makes the same bytes as one that was not,
and so do many machines, each of which renders some scenes.
"""

from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

from vidream.core.errors import OutputError
from vidream.core.frames import Frame
from vidream.core.settings import WriteSettings
from vidream.media.atomic import AtomicFile
from vidream.media.codecs import LOSSLESS, Container, codec_for
from vidream.media.encoder import VideoEncoder, packet_order
from vidream.media.info import Colour, VideoInfo
from vidream.media.places import FileTarget, VideoTarget

_PIXEL_BYTES = 2**28  # of pictures in a segment, about
_LEAST, _MOST = 16, 96  # frames of a whole segment: enough to compress
_SHORTEST = 8  # frames of a segment that the next scene ends


@dataclass(frozen=True, slots=True)
class Segment:
    """A finished segment."""

    number: int  # from 0
    frames: int  # number of source frames; one that falls on its neighbour's tick has no picture
    times: tuple[tuple[int, int], ...]  # PTS and duration of each picture, in units of base
    base: Fraction  # seconds per unit
    order: tuple[int, ...]  # display index of each packet

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self) | {"base": str(self.base)}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Self:
        """Return the segment of :meth:`to_json`'s result."""
        times = tuple((int(pts), int(duration)) for pts, duration in entry["times"])
        base, order = Fraction(entry["base"]), tuple(entry["order"])
        return cls(entry["number"], entry["frames"], times, base, order)


@dataclass(frozen=True, slots=True)
class SegmentFormat:
    """How segments are encoded, and the number of frames of each."""

    container: Container
    suffix: str
    settings: WriteSettings
    info: VideoInfo
    length: int

    @classmethod
    def of(cls, target: FileTarget, info: VideoInfo, settings: WriteSettings) -> Self:
        """Choose the format for a target; raises OutputError if its container cannot hold it."""
        length = max(_LEAST, min(_MOST, _PIXEL_BYTES // (3 * info.width * info.height)))
        base = info.time_base
        if isinstance(target, VideoTarget):
            codec_for(target.container, target.name, settings, info)
            base = target.container.clock or base
        info = replace(info, metadata={}, chapters=(), cover=None, time_base=base)
        if isinstance(target, VideoTarget) and target.container.joins:
            pieces = replace(target.container, options={})
            return cls(pieces, target.path.suffix.lower(), settings, info, length)
        # Lossless RGB: the pieces will be encoded again.
        colour = Colour(2, matrix=Colour.RGB)
        info = replace(info, colour=colour, sample_aspect_ratio=Fraction(1))
        return cls(LOSSLESS, ".mkv", WriteSettings(), info, length)


class Segmentation:
    """Tells where segments begin.

    A new one begins with a scene, unless the one before would be very short, and after ``length``
    frames. ``frames`` is the number of frames that the open one has.
    """

    def __init__(self, length: int, frames: int = 0) -> None:
        self._length, self.frames = length, frames

    def put(self, *, begins_scene: bool) -> bool:
        """Count a frame; return whether a segment begins with it."""
        begins = self.frames in (0, self._length) or (begins_scene and self.frames >= _SHORTEST)
        self.frames = 1 if begins else self.frames + 1
        return begins

    @property
    def is_full(self) -> bool:
        """Whether the next frame begins a segment, whatever it shows."""
        return self.frames == self._length


@dataclass(slots=True)
class _OpenSegment:
    """The segment that is being encoded."""

    number: int
    frames: int = 0
    times: list[tuple[int, int]] = field(default_factory=list)
    writer: VideoEncoder | None = None


class SegmentSeries:
    """Encodes frames into the segments of a folder, one after the other.

    Args:
        folder: that holds them.
        format: of them.
        number: of the first one.
        last: PTS of the picture before, in units of the format's time base.
    """

    def __init__(
        self, folder: Path, format: SegmentFormat, number: int = 0, last: int | None = None
    ) -> None:
        self._folder, self._format = folder, format
        self._last = last
        self._open = _OpenSegment(number)

    @property
    def number(self) -> int:
        """Number of the open segment."""
        return self._open.number

    def path(self, number: int) -> Path:
        """Return the path of a segment."""
        return segment_path(self._folder, number, self._format.suffix)

    def put(self, frame: Frame) -> None:
        """Encode a frame into the open segment; raises OutputError."""
        piece, base = self._open, self._format.info.time_base
        piece.frames += 1
        pts = tick_of(frame, base, self._last)
        if pts is None:
            return
        self._last = pts
        duration = round(frame.duration * frame.time_base / base)
        piece.times.append((pts, duration))
        if piece.writer is None:
            path = self.path(piece.number)
            piece.writer = VideoEncoder(
                VideoTarget(path, self._format.container),
                self._format.info,
                self._format.settings,
                draft=AtomicFile(path, overwrite=True, durable=False),
            )
        since = pts - piece.times[0][0]
        piece.writer.write(replace(frame, pts=since, time_base=base, duration=duration))

    def close(self) -> Segment | None:
        """Finish the open segment, and return it; None if it has no frame. Raises OutputError."""
        piece = self._open
        if not piece.frames:
            return None
        order: tuple[int, ...] = ()
        if piece.writer is not None:
            piece.writer.finish()
            order = packet_order(self.path(piece.number))
            if sorted(order) != list(range(len(piece.times))):
                raise OutputError(f"segment {piece.number + 1} in {self._folder} is damaged")
        self._open = _OpenSegment(piece.number + 1)
        base = self._format.info.time_base
        return Segment(piece.number, piece.frames, tuple(piece.times), base, order)

    def discard(self) -> None:
        """Remove what is encoded of the open segment; it gets no more frames."""
        if self._open.writer is not None:
            self._open.writer.discard()
            self._open.writer = None


def segment_path(folder: Path, number: int, suffix: str) -> Path:
    """Return the path of what belongs to a segment."""
    return folder / f"{number + 1:05d}{suffix}"


def tick_of(frame: Frame, base: Fraction, last: int | None) -> int | None:
    """Return the PTS of a frame's picture; None if it falls on the tick of the ``last`` one."""
    pts = round(frame.pts * frame.time_base / base)
    return pts if last is None or pts > last else None
