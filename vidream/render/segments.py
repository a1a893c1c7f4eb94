"""The recorder of videos, in playable segments of a fixed number of frames.

So a run that was interrupted makes the same bytes as one that was not. The frames of an unfinished
segment lie next to it uncompressed: a run can be resumed after any frame.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

from vidream.core.errors import OutputError
from vidream.core.frames import Frame
from vidream.core.settings import WriteSettings
from vidream.media.atomic import PART, AtomicFile, sync
from vidream.media.codecs import LOSSLESS, Container, codec_for
from vidream.media.encoder import VideoEncoder, packet_order
from vidream.media.info import Colour, VideoInfo
from vidream.media.places import VideoTarget
from vidream.render.checkpoint import Checkpoint
from vidream.render.sinks import Pace, as_output_error
from vidream.render.spool import Spool, read_spool
from vidream.render.work_folder import WorkFolder

_SPOOLED = ".frames"
_PIXEL_BYTES = 2**28  # of pictures in a segment, about
_LEAST, _MOST = 16, 96  # frames of a segment: enough to compress


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
    def of(cls, target: VideoTarget, info: VideoInfo, settings: WriteSettings) -> Self:
        """Choose the format for a target; raises OutputError if its container cannot hold it."""
        container = target.container
        codec_for(container, target.name, settings, info)
        length = max(_LEAST, min(_MOST, _PIXEL_BYTES // (3 * info.width * info.height)))
        base = container.clock or info.time_base
        info = replace(info, metadata={}, chapters=(), cover=None, time_base=base)
        if container.joins:
            pieces = replace(container, options={})
            return cls(pieces, target.path.suffix.lower(), settings, info, length)
        # Lossless RGB: the pieces will be encoded again.
        colour = Colour(2, matrix=Colour.RGB)
        info = replace(info, colour=colour, sample_aspect_ratio=Fraction(1))
        return cls(LOSSLESS, ".mkv", WriteSettings(), info, length)


@dataclass(slots=True)
class _OpenSegment:
    """The segment that is being recorded."""

    number: int
    spool: Spool | None  # None if there is no room for it
    frames: int = 0
    times: list[tuple[int, int]] = field(default_factory=list)
    writer: VideoEncoder | None = None


class SegmentRecorder:
    """Encodes frames in segments, in a work folder; segments that it holds are kept.

    Raises:
        OutputError: the folder is damaged, or cannot be written.
    """

    def __init__(self, work: WorkFolder, format: SegmentFormat) -> None:
        self._work, self._format = work, format
        self.segments = [Segment.from_json(entry) for entry in work.journal()]
        self._noted = len(self.segments)
        self._last = next((s.times[-1][0] for s in reversed(self.segments) if s.times), None)
        self._open: _OpenSegment | None = None
        self._pace = Pace()
        self._boundary: Checkpoint | None = None  # after the last finished segment
        self._broken = False
        with as_output_error(work.path):
            self._tidy()
            self._restore(work.checkpoint.frames)

    def _tidy(self) -> None:
        """Remove what a crash left: drafts, and what is not in the journal."""
        keep = {self.path(segment) for segment in self.segments}
        for path in self._work.path.iterdir():
            piece = path.suffix in (self._format.suffix, _SPOOLED)
            spool = path.suffix == _SPOOLED and int(path.stem) > len(self.segments)
            if PART in path.name or (piece and path not in keep and not spool):
                path.unlink()

    def _restore(self, frames: int) -> None:
        """Encode the spooled frames again, up to the number of the checkpoint."""
        first = sum(segment.frames for segment in self.segments)
        for frame in read_spool(self._path(len(self.segments), _SPOOLED), first, frames):
            self._put(frame, again=True)
            first = frame.index + 1
        if first < frames:
            raise OutputError(f"{self._work.path} is damaged: remove it to begin anew")

    def path(self, segment: Segment) -> Path:
        """Return the path of a segment."""
        return self._path(segment.number, self._format.suffix)

    def _path(self, number: int, suffix: str) -> Path:
        return self._work.path / f"{number + 1:05d}{suffix}"

    def wants_checkpoint(self, index: int) -> bool:
        """Whether :meth:`write` should get the checkpoint after this frame."""
        return self._ends(index) or self._pace.is_due()

    def _ends(self, index: int) -> bool:
        return (index + 1) % self._format.length == 0

    def write(self, frame: Frame, checkpoint: Checkpoint | None) -> None:
        """Encode a frame unless an earlier run did, and save; raises OutputError."""
        if self._broken or frame.index // self._format.length < len(self.segments):
            return
        with self._breaking():
            self._put(frame)
            if self._ends(frame.index):
                self._close()
                self._boundary = checkpoint
                if self._pace.is_due(0.2):
                    self._save(checkpoint)
            elif self._open is not None and self._open.spool is not None and self._pace.is_due():
                self._save(checkpoint)

    @contextlib.contextmanager
    def _breaking(self) -> Iterator[None]:
        """Write nothing more after an error."""
        try:
            with as_output_error(self._work.path):
                yield
        except BaseException:
            self._broken = True
            raise

    def _put(self, frame: Frame, *, again: bool = False) -> None:
        """Encode a frame, and spool it unless that was done before (``again``)."""
        number = frame.index // self._format.length
        if self._open is None:
            self._open = _OpenSegment(number, Spool(self._path(number, _SPOOLED)))
        piece, base = self._open, self._format.info.time_base
        piece.frames += 1
        if not again:
            self._spool(piece, frame)
        pts = round(frame.pts * frame.time_base / base)
        if self._last is not None and pts <= self._last:
            return  # it falls on its neighbour's tick
        self._last = pts
        duration = round(frame.duration * frame.time_base / base)
        piece.times.append((pts, duration))
        if piece.writer is None:
            path = self._path(number, self._format.suffix)
            piece.writer = VideoEncoder(
                VideoTarget(path, self._format.container),
                self._format.info,
                self._format.settings,
                draft=AtomicFile(path, overwrite=True, durable=False),
            )
        since = pts - piece.times[0][0]
        piece.writer.write(replace(frame, pts=since, time_base=base, duration=duration))

    def _spool(self, piece: _OpenSegment, frame: Frame) -> None:
        """Spool a frame; if the disk is full do without, unless a checkpoint relies on it."""
        if piece.spool is None:
            return
        try:
            piece.spool.append(frame)
        except OSError:
            if self._work.checkpoint.frames > piece.number * self._format.length:
                raise
            piece.spool.discard()
            piece.spool = None

    def _close(self) -> None:
        """Finish the open segment; it counts once it is in the journal."""
        piece = self._open
        if piece is None:
            return
        order: tuple[int, ...] = ()
        if piece.writer is not None:
            piece.writer.finish()
            order = packet_order(self._path(piece.number, self._format.suffix))
            if sorted(order) != list(range(len(piece.times))):
                raise OutputError(f"segment {piece.number + 1} of {self._work.path} is damaged")
        if piece.spool is not None:
            piece.spool.close()
        self._open = None
        times, base = tuple(piece.times), self._format.info.time_base
        self.segments.append(Segment(piece.number, piece.frames, times, base, order))

    def _save(self, checkpoint: Checkpoint | None) -> None:
        """Make everything durable: first the pictures, then the journal, then the checkpoint."""
        finished = self.segments[self._noted :]
        with self._pace.saving():
            for segment in finished:
                if segment.times:
                    sync(self.path(segment))
            self._work.note([segment.to_json() for segment in finished])
            self._noted = len(self.segments)
            if checkpoint is not None and checkpoint.frames > self._work.checkpoint.frames:
                if self._open is not None and self._open.spool is not None:
                    self._open.spool.sync()
                self._work.save(checkpoint)
        for segment in finished:
            with contextlib.suppress(OSError):
                self._path(segment.number, _SPOOLED).unlink()

    def keep(self, checkpoint: Checkpoint) -> None:
        """Keep what there is, after the last frame or an error; raises nothing."""
        piece = self._open
        if self._broken and piece is not None and piece.writer is not None:
            # This may free the space that is missing; its pictures are spooled.
            piece.writer.discard()
            piece.writer = None
        kept = sum(segment.frames for segment in self.segments)
        if piece is not None and piece.spool is not None and not self._broken:
            kept += piece.frames
        try:
            self._save(checkpoint if checkpoint.frames <= kept else self._boundary)
            if not self._broken:
                self._close()  # not noted: it is there to be looked at
        except (OSError, OutputError):
            pass  # there is an error on its way already, and what was saved before is there
        finally:
            if self._open is not None:
                if self._open.writer is not None:
                    self._open.writer.discard()
                if self._open.spool is not None:
                    self._open.spool.close()

    def finish(self, checkpoint: Checkpoint) -> None:
        """Keep everything after the last frame; raises OutputError."""
        with self._breaking():
            self._close()
            self._save(checkpoint)
