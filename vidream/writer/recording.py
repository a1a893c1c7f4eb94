"""A recording: dreams on their way into a work folder, and from there into the target."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import NoneType

from vidream.drafts import Draft
from vidream.errors import InputError, OutputError, VidreamError
from vidream.frames import Frame
from vidream.media import AudioPacket, VideoInfo
from vidream.queues import Behind, queue_depth
from vidream.settings import Settings
from vidream.stills import is_sequence
from vidream.work import Point, WorkFolder
from vidream.writer.joining import OnJoin, Pieces, join
from vidream.writer.recorder import PictureRecorder, Recorder
from vidream.writer.segments import SegmentRecorder
from vidream.writer.writer import VideoWriter, check_pictures, warn_of_odd_sizes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FrameReport:
    """What became of one frame.

    Args:
        index: number of the frame, from 0.
        expected: frames in all, as far as the source tells.
        time: when the frame shows, in seconds.
        seconds: how long its dream took.
        carried: whether it started from the previous dream.
        cut: whether a scene begins with it.
        duplicate: whether it shows the same as the one before, and so has the same dream.
    """

    index: int
    expected: int | None
    time: float
    seconds: float
    carried: bool
    cut: bool = False
    duplicate: bool = False


Progress = Callable[[FrameReport], None]

Dreamed = tuple[Frame, FrameReport, Point]
"""What is shown, what became of it, and what the next frame depends on."""

_PREVIEW = "so-far"


SoundUntil = Callable[[Fraction | None, Fraction], Iterator[AudioPacket]]
"""Gives the sound up to a time, from when the first frame shows, on the clock of the frames."""


class Recording:
    """Takes dreams, and makes the target of them.

    Args:
        work: the folder in which they are kept until then.
        info: size, rate, and what is said of the target in it.
        sound: what is heard.
        settings: how it is encoded, and whether the sound goes on after the last frame.

    Raises:
        OutputError: the folder is damaged, or cannot be written.
    """

    def __init__(
        self, work: WorkFolder, info: VideoInfo, sound: SoundUntil, settings: Settings
    ) -> None:
        self._work, self._info, self._sound, self._settings = work, info, sound, settings.write
        self._finished = False
        self._limited = settings.read.frames is not None or settings.read.audio is not None
        self._recorder: Recorder
        self._segments: SegmentRecorder | None = None
        if is_sequence(work.target):
            check_pictures(info)
            comment = info.metadata.get("comment")
            self._recorder = PictureRecorder(work, self._settings, comment)
            return
        warn_of_odd_sizes(work.target, info, self._settings)
        self._recorder = self._segments = SegmentRecorder(work, info, self._settings)

    def make(
        self,
        dreams: Generator[Dreamed],
        point: Point,
        progress: Progress | None = None,
        on_join: OnJoin | None = None,
    ) -> int:
        """Take dreams as they come, and make the target when they are all there.

        Args:
            dreams: from ``point`` on.
            point: where an earlier run stopped.
            progress: called after each frame.
            on_join: called while the target is made of the pieces.

        Returns:
            The number of frames in the target.

        Raises:
            VidreamError: whatever went wrong; its text says what is kept.
        """
        last = Point(point.frames, point.begin)
        try:
            with closing(dreams):
                for after in self._recorded(dreams, progress):
                    last = after
            if not last.frames:
                raise InputError("the source gives no frame to dream: is it whole?")
            self._recorder.finish(Point(last.frames, last.begin))
            self._finished = True
            if self._segments is not None:
                self._join(self._work.target, on_join)
        except KeyboardInterrupt as stop:
            self._recorder.pause(last)
            self._tell(stop)
            raise
        except VidreamError as error:
            self._recorder.pause(last)
            if not self._work.point.frames:
                raise
            text = f"{error}; {self._work.point.frames} frames are kept: go on with --resume"
            raise type(error)(text) from error
        except Exception:
            self._recorder.pause(last)
            raise
        self._work.done = True
        return last.frames

    def _recorded(self, dreams: Generator[Dreamed], progress: Progress | None) -> Iterator[Point]:
        """Hand dreams over as they come; give the point after each."""
        depth = queue_depth(self._info.width, self._info.height)
        with Behind(self._take, depth) as output:
            try:
                for frame, report, point in dreams:
                    wanted = self._recorder.wants(frame.index)
                    output.put((frame, point if wanted else None))
                    yield point
                    if progress is not None:
                        progress(report)
            except BaseException:
                output.close()  # what was handed over is kept
                raise

    def _take(self, item: tuple[Frame, Point | None]) -> None:
        self._recorder.write(*item)

    def _join(self, target: Path, on_join: OnJoin | None = None) -> None:
        """Make a file of the segments."""
        assert self._segments is not None
        segments = self._segments.segments
        pieces = [(segment, self._segments.path(segment)) for segment in segments]
        whole = target == self._work.target
        end: Fraction | None = None
        if self._limited or not whole:
            pts, duration = next((s.times[-1] for s in reversed(segments) if s.times), (0, 0))
            end = (pts + duration) * self._segments.base
        sound = self._sound(end, self._work.point.begin or Fraction(0))
        try:
            self._put_together(target, pieces, self._info, sound, on_join)
        except OutputError as error:
            # Pictures are our own. Sound is as it came, and its damage may show as late as at the
            # very end of the file; then it is FFmpeg that complains, and not the system.
            if not self._info.audio or isinstance(error.__cause__, (OSError, NoneType)):
                raise
            _log.warning("the sound cannot be copied, for it is damaged: it is left out")
            silent = replace(self._info, audio=())
            self._put_together(target, pieces, silent, iter(()), on_join)

    def _put_together(
        self,
        target: Path,
        pieces: Pieces,
        info: VideoInfo,
        sound: Iterator[AudioPacket],
        on_join: OnJoin | None,
    ) -> None:
        assert self._segments is not None
        overwrite = self._settings.overwrite or target != self._work.target
        draft = Draft(target, overwrite=overwrite, folder=self._work.path)
        with VideoWriter(target, info, self._settings, draft=draft) as writer:
            join(pieces, writer, sound, on_join, copy=self._segments.container.joins)
            writer.finish()

    def _tell(self, stop: KeyboardInterrupt) -> None:
        """Note what is there, and how to go on."""
        kept = self._work.point.frames
        if not kept:
            return
        stop.add_note(f"{kept} frames are kept: go on with the same command and --resume")
        if not self._finished and (preview := self._preview()) is not None:
            stop.add_note(f"{preview} shows what there is so far")

    def _preview(self) -> Path | None:
        """Make a file of what there is so far."""
        if self._segments is None or not self._segments.segments:
            return None
        preview = self._work.path / f"{_PREVIEW}{self._work.target.suffix}"
        try:
            self._join(preview)
        except VidreamError as error:
            _log.debug("no preview: %s", error)
            return None
        return preview
