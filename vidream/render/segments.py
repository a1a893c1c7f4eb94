"""The recorder of videos: encodes them in segments, each closed and playable by itself.

Segments have a fixed number of frames: a run that was cut short and one that was not cut in the
same places, and what is joined of the pieces is the same to the byte. Until a segment is finished
its pictures lie beside it as they are, so that it can be gone on with after any frame.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

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
_LEAST, _MOST = 16, 96  # frames of a segment


def segment_length(width: int, height: int) -> int:
    """Give the number of frames of a segment: fewer of large ones, but enough to compress."""
    return max(_LEAST, min(_MOST, _PIXEL_BYTES // (3 * width * height)))


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that is finished.

    Args:
        number: from 0.
        frames: of the source that it covers.
        times: timestamp and duration of each picture, in units of ``base``; a frame that falls on
            its neighbour's tick has none.
        base: seconds per unit.
        order: which of the pictures each packet holds.
    """

    number: int
    frames: int
    times: tuple[tuple[int, int], ...]
    base: Fraction
    order: tuple[int, ...]

    def noted(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        return asdict(self) | {"base": str(self.base)}

    @classmethod
    def read(cls, noted: dict[str, Any]) -> Segment:
        """Read what :meth:`noted` gave."""
        times = tuple((int(pts), int(duration)) for pts, duration in noted["times"])
        base, order = Fraction(noted["base"]), tuple(noted["order"])
        return cls(noted["number"], noted["frames"], times, base, order)


@dataclass(frozen=True, slots=True)
class SegmentFormat:
    """How segments are encoded.

    Args:
        container: of the target.
        pieces: container of the segments.
        suffix: of their files.
        settings: their codec and quality.
        info: what their encoder must know.
        length: frames of a segment.
    """

    container: Container
    pieces: Container
    suffix: str
    settings: WriteSettings
    info: VideoInfo
    length: int

    @classmethod
    def of(cls, target: VideoTarget, info: VideoInfo, settings: WriteSettings) -> SegmentFormat:
        """Choose the format for a target.

        Raises:
            OutputError: its kind of file cannot hold the video.
        """
        container = target.container
        codec_for(container, target.name, settings, is_hdr=info.is_hdr)
        length = segment_length(info.width, info.height)
        base = container.clock or info.time_base
        info = replace(info, metadata={}, time_base=base)
        if container.joins:
            pieces = replace(container, options={})
            return cls(container, pieces, target.path.suffix.lower(), settings, info, length)
        # RGB as it is: the pieces will be encoded anew.
        colour = Colour(2, matrix=Colour.RGB)
        info = replace(info, colour=colour, sample_aspect_ratio=Fraction(1))
        return cls(container, LOSSLESS, ".mkv", WriteSettings(), info, length)

    @property
    def base(self) -> Fraction:
        """Seconds per unit of the timestamps."""
        return self.info.time_base


class SegmentRecorder:
    """Encodes frames in segments, in a work folder.

    Args:
        work: the folder; segments that it holds are kept.
        format: how they are encoded.

    Raises:
        OutputError: the folder is damaged, or cannot be written.
    """

    def __init__(self, work: WorkFolder, format: SegmentFormat) -> None:
        self._work, self.format = work, format
        self.segments = [Segment.read(noted) for noted in work.journal()]
        self._noted = len(self.segments)
        self._last = next((s.times[-1][0] for s in reversed(self.segments) if s.times), None)
        self._open: _Open | None = None
        self._pace = Pace()
        self._boundary: Checkpoint | None = None
        self._broken = False
        with as_output_error(work.path):
            self._tidy()
            self._restore(work.checkpoint.frames)

    def _tidy(self) -> None:
        """Remove what a crash left: drafts, and what is not in the journal."""
        keep = {self.path(segment) for segment in self.segments}
        for path in self._work.path.iterdir():
            piece = path.suffix in (self.format.suffix, _SPOOLED)
            spool = path.suffix == _SPOOLED and int(path.stem) > len(self.segments)
            if PART in path.name or (piece and path not in keep and not spool):
                path.unlink()

    def _restore(self, frames: int) -> None:
        """Encode what lies uncompressed."""
        first = sum(segment.frames for segment in self.segments)
        number = len(self.segments)
        for frame in read_spool(self._path(number, _SPOOLED), first, frames):
            self._put(frame, again=True)
            first = frame.index + 1
        if first < frames:
            raise OutputError(f"{self._work.path} is damaged: remove it to begin anew")

    def path(self, segment: Segment) -> Path:
        """Give the file of a segment."""
        return self._path(segment.number, self.format.suffix)

    def _path(self, number: int, suffix: str) -> Path:
        return self._work.path / f"{number + 1:05d}{suffix}"

    def wants_checkpoint(self, index: int) -> bool:
        """Whether the checkpoint after this frame should come with it."""
        return self._ends(index) or self._pace.is_due()

    def _ends(self, index: int) -> bool:
        return (index + 1) % self.format.length == 0

    def write(self, frame: Frame, checkpoint: Checkpoint | None) -> None:
        """Take a frame, and maybe the checkpoint after it; what is kept already is passed over.

        Raises:
            OutputError: it cannot be written.
        """
        if self._broken or frame.index // self.format.length < len(self.segments):
            return
        try:
            with as_output_error(self._work.path):
                self._put(frame)
                if self._ends(frame.index):
                    self._close()
                    self._boundary = checkpoint
                    if self._pace.is_due(0.2):
                        self._save(checkpoint)
                elif self._spooled and self._pace.is_due():
                    self._save(checkpoint)
        except BaseException:
            self._broken = True
            raise

    def _put(self, frame: Frame, *, again: bool = False) -> None:
        """Encode a frame, and keep its picture until the segment is finished.

        Args:
            frame: the next one.
            again: whether it comes from the spool.
        """
        number = frame.index // self.format.length
        if self._open is None:
            self._open = _Open(number, Spool(self._path(number, _SPOOLED)))
        piece = self._open
        piece.frames += 1
        if not again:
            self._spool(piece, frame)
        pts = round(frame.pts * frame.time_base / self.format.base)
        if self._last is not None and pts <= self._last:
            return  # it falls on its neighbour's tick
        self._last = pts
        duration = round(frame.duration * frame.time_base / self.format.base)
        piece.times.append((pts, duration))
        since = pts - piece.times[0][0]
        self._writer(piece).write(
            Frame(frame.image, frame.index, since, self.format.base, duration)
        )

    def _spool(self, piece: _Open, frame: Frame) -> None:
        """Keep a picture; where there is no room go on without, if nobody relies on it yet."""
        if piece.spool is None:
            return
        try:
            piece.spool.append(frame)
        except OSError:
            if self._work.checkpoint.frames > piece.number * self.format.length:
                raise
            piece.spool.discard()
            piece.spool = None

    @property
    def _spooled(self) -> bool:
        """Whether all pictures of the open segment are there, so that it can be gone on with."""
        return self._open is not None and self._open.spool is not None

    def _writer(self, piece: _Open) -> VideoEncoder:
        if piece.writer is None:
            path = self._path(piece.number, self.format.suffix)
            draft = AtomicFile(path, overwrite=True, durable=False)
            piece.writer = VideoEncoder(
                VideoTarget(path, self.format.pieces),
                self.format.info,
                self.format.settings,
                draft=draft,
            )
        return piece.writer

    def _close(self) -> None:
        """Finish the segment; it counts once it is noted."""
        piece = self._open
        if piece is None:
            return
        order: tuple[int, ...] = ()
        if piece.writer is not None:
            piece.writer.finish()
            order = packet_order(self._path(piece.number, self.format.suffix))
            if sorted(order) != list(range(len(piece.times))):
                raise OutputError(f"segment {piece.number + 1} of {self._work.path} is damaged")
        if piece.spool is not None:
            piece.spool.close()
        self._open = None
        self.segments.append(
            Segment(piece.number, piece.frames, tuple(piece.times), self.format.base, order)
        )

    def _save(self, checkpoint: Checkpoint | None) -> None:
        """Save what there is for good: first the pictures, then that they are there."""
        fresh = self.segments[self._noted :]
        with self._pace.saving():
            self._save_all(fresh, checkpoint)
        for segment in fresh:
            with contextlib.suppress(OSError):
                self._path(segment.number, _SPOOLED).unlink()

    def _save_all(self, fresh: list[Segment], checkpoint: Checkpoint | None) -> None:
        for segment in fresh:
            if segment.times:
                sync(self.path(segment))
        self._work.note([segment.noted() for segment in fresh])
        self._noted = len(self.segments)
        if checkpoint is not None and checkpoint.frames > self._work.checkpoint.frames:
            if self._open is not None and self._open.spool is not None:
                self._open.spool.sync()
            self._work.save(checkpoint)

    def keep(self, checkpoint: Checkpoint | None) -> None:
        """Keep what there is, after the last frame or an error; raises nothing."""
        piece = self._open
        if self._broken and piece is not None and piece.writer is not None:
            # It makes room, should that be missing; its pictures are elsewhere.
            piece.writer.discard()
            piece.writer = None
        try:
            self._save(
                checkpoint
                if checkpoint is not None and checkpoint.frames <= self._kept
                else self._boundary
            )
            if not self._broken:
                self._close()  # not noted: it is there to be looked at
        except (OSError, OutputError):
            pass  # there is an error on its way already, and what was saved before is there
        finally:
            if self._open is not None:
                self._open.abandon()

    @property
    def _kept(self) -> int:
        """Frames whose pictures are there."""
        kept = sum(segment.frames for segment in self.segments)
        if self._open is not None and self._spooled and not self._broken:
            kept += self._open.frames
        return kept

    def finish(self, checkpoint: Checkpoint) -> None:
        """Keep all of it: there are no more frames.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            with as_output_error(self._work.path):
                self._close()
                self._save(checkpoint)
        except BaseException:
            self._broken = True
            raise


class _Open:
    """The segment that is being made."""

    def __init__(self, number: int, spool: Spool) -> None:
        self.number = number
        self.spool: Spool | None = spool
        self.frames = 0
        self.times: list[tuple[int, int]] = []
        self.writer: VideoEncoder | None = None

    def abandon(self) -> None:
        if self.writer is not None:
            self.writer.discard()
        if self.spool is not None:
            self.spool.close()
