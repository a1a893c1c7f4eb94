"""The recorder of a run that can be resumed: segments, and the frames of an unfinished one.

These lie next to it uncompressed, so that a run can be resumed after any frame.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from vidream.core.errors import OutputError
from vidream.core.frames import Frame
from vidream.media.atomic import PART, sync
from vidream.render.checkpoint import Checkpoint
from vidream.render.segments import (
    Segment,
    Segmentation,
    SegmentFormat,
    SegmentSeries,
    segment_path,
)
from vidream.render.sinks import Pace, as_output_error
from vidream.render.spool import Spool, read_spool
from vidream.render.work_folder import WorkFolder

_SPOOLED = ".frames"


class SegmentRecorder:
    """Encodes frames in segments, in a work folder; segments that it holds are kept.

    Raises:
        OutputError: the folder is damaged, or cannot be written.
    """

    def __init__(self, work: WorkFolder, format: SegmentFormat) -> None:
        self._work = work
        self.segments = [Segment.from_json(entry) for entry in work.journal()]
        self._noted = len(self.segments)
        last = next((s.times[-1][0] for s in reversed(self.segments) if s.times), None)
        self._series = SegmentSeries(work.path, format, len(self.segments), last)
        self._spool: Spool | None = None  # of the open segment, unless there is no room for it
        self._kept = sum(segment.frames for segment in self.segments)  # frames in them
        self._pace = Pace()
        self._boundary: Checkpoint | None = None  # after a finished segment
        self._broken = False
        with as_output_error(work.path):
            self._tidy(format.suffix)
            restored = self._restore(work.checkpoint.frames)
        self._first = self._kept + restored
        self._segmentation = Segmentation(format.length, restored)  # of what is written
        self._announced = Segmentation(format.length, restored)  # of what is to be written

    def _tidy(self, suffix: str) -> None:
        """Remove what a crash left: drafts, and what is not in the journal."""
        keep = {self.path(segment) for segment in self.segments}
        for path in self._work.path.iterdir():
            piece = path.suffix in (suffix, _SPOOLED)
            spool = path.suffix == _SPOOLED and int(path.stem) > len(self.segments)
            if PART in path.name or (piece and path not in keep and not spool):
                path.unlink()

    def _restore(self, frames: int) -> int:
        """Encode the spooled frames up to the checkpoint's again, and return their number."""
        first = self._kept
        spool = segment_path(self._work.path, self._series.number, _SPOOLED)
        for frame in read_spool(spool, first, frames):
            if first == self._kept:
                self._open_spool()
            self._series.put(frame)
            first = frame.index + 1
        if first < frames:
            raise OutputError(f"{self._work.path} is damaged: remove it to begin anew")
        return first - self._kept

    def path(self, segment: Segment) -> Path:
        """Return the path of a segment."""
        return self._series.path(segment.number)

    def wants_checkpoint(self, index: int, *, begins_scene: bool) -> bool:
        """Whether :meth:`write` should get the checkpoint after the next frame."""
        if index < self._first:
            return False
        begins = self._announced.put(begins_scene=begins_scene)
        return begins or self._announced.is_full or self._pace.is_due()

    def write(self, frame: Frame, checkpoint: Checkpoint | None, *, begins_scene: bool) -> None:
        """Encode a frame unless an earlier run did, and save; raises OutputError.

        There is a checkpoint at least where a segment ends, and where one begins.
        """
        if self._broken or frame.index < self._kept:
            return
        with self._breaking():
            if self._segmentation.put(begins_scene=begins_scene):
                if self._close() and checkpoint is not None:
                    # What a scene depends on of those before it.
                    self._boundary = Checkpoint(
                        frame.index, checkpoint.begin, memory=checkpoint.memory
                    )
                self._open_spool()
            self._append(frame)
            self._series.put(frame)
            if self._segmentation.is_full:
                self._close()
                self._boundary = checkpoint
                if self._pace.is_due(0.2):
                    self._save(checkpoint)
            elif self._spool is not None and self._pace.is_due():
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

    def _open_spool(self) -> None:
        self._spool = Spool(segment_path(self._work.path, self._series.number, _SPOOLED))

    def _append(self, frame: Frame) -> None:
        """Spool a frame; if the disk is full do without, unless a checkpoint relies on it."""
        if self._spool is None:
            return
        try:
            self._spool.append(frame)
        except OSError:
            if self._work.checkpoint.frames > self._kept:
                raise
            self._spool.discard()
            self._spool = None

    def _close(self) -> bool:
        """Finish the open segment, if there is one; it counts once it is in the journal."""
        segment = self._series.close()
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        if segment is None:
            return False
        self.segments.append(segment)
        self._kept += segment.frames
        return True

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
                if self._spool is not None:
                    self._spool.sync()
                self._work.save(checkpoint)
        for segment in finished:
            with contextlib.suppress(OSError):
                segment_path(self._work.path, segment.number, _SPOOLED).unlink()

    def keep(self, checkpoint: Checkpoint) -> None:
        """Keep what there is, after the last frame or an error; raises nothing."""
        if self._broken:
            # This may free the space that is missing; its pictures are spooled.
            self._series.discard()
        kept = self._kept
        if self._spool is not None and not self._broken:
            kept += self._segmentation.frames
        try:
            self._save(checkpoint if checkpoint.frames <= kept else self._boundary)
            if not self._broken:
                self._close()  # not noted: it is there to be looked at
        except (OSError, OutputError):
            pass  # there is an error on its way already, and what was saved before is there
        finally:
            self._series.discard()
            if self._spool is not None:
                self._spool.close()

    def finish(self, checkpoint: Checkpoint) -> None:
        """Keep everything after the last frame; raises OutputError."""
        with self._breaking():
            self._close()
            self._save(checkpoint)
