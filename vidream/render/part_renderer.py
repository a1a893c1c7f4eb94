"""Renders parts of a clip, each into segments of its own."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path

from vidream.core.devices import choose_device
from vidream.core.effect import Effect, Resources
from vidream.core.errors import InputError
from vidream.core.frames import Frame
from vidream.core.memory import MemoryBudget, check_frames
from vidream.core.queues import BackgroundConsumer, queue_depth
from vidream.core.reporting import CancelToken, Reporter
from vidream.effects.registry import load_effect, weights_of
from vidream.media.atomic import cannot_write
from vidream.media.info import VideoInfo
from vidream.media.places import FileTarget
from vidream.media.reader import Reader, open_reader
from vidream.media.tracks import TrackSource
from vidream.render.blending import faded_in, faded_out
from vidream.render.checkpoint import Checkpoint
from vidream.render.guides import open_guide
from vidream.render.job import Job
from vidream.render.loop import render_frames
from vidream.render.parts import Checksum, Part, checksum
from vidream.render.segments import Segment, SegmentFormat, SegmentSeries, tick_of
from vidream.render.setup import make_session
from vidream.render.spool import Spool
from vidream.temporal.flow import FlowEstimator, load_flow
from vidream.timeline.timeline import open_timeline

_log = logging.getLogger(__name__)


class OtherFramesError(InputError):
    """The frames of a part are not those that were planned."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What is loaded once for all parts."""

    effect: Effect
    flow: FlowEstimator
    resources: Resources


class PartRenderer:
    """Renders parts of a job, one at a time; the network is loaded once.

    Args:
        job: of whose target only the kind of file counts.

    Raises:
        VidreamError: the effect or its weights cannot be loaded.
    """

    def __init__(self, job: Job) -> None:
        assert isinstance(job.target, FileTarget)
        self._job, self._target = job, job.target
        self._timeline = open_timeline(job.settings, job.source)
        settings = self._timeline.settings
        device = choose_device(settings.dream.device)
        self._budget = MemoryBudget(settings.dream.memory, device)
        resources = Resources(job.reporter, self._budget)
        dream, guide = open_guide(settings.dream)
        if guide is not None:
            guide.close()  # each part opens its own
        effect = load_effect(self._timeline.with_dream(dream).settings, resources)
        self._loaded = _Loaded(effect, load_flow(settings.dream.flow, device), resources)

    @property
    def weights(self) -> dict[str, str]:
        """SHA-256 of the weights by the names of their files."""
        return dict(weights_of(self._loaded.effect))

    @property
    def memory(self) -> int:
        """Bytes that the dream may take: by default what a run of the whole clip would.

        Tiles of large frames, and so their last bits, depend on it.
        """
        return self._budget.bytes

    @memory.setter
    def memory(self, size: int) -> None:
        self._budget.fix(size)

    def render(
        self, part: Part, folder: Path, reporter: Reporter, cancel: CancelToken
    ) -> list[Segment]:
        """Render a part into segments in a folder.

        Raises:
            OtherFramesError: the source has other frames there.
            CancelledError: it was cancelled.
            VidreamError: any other failure.
        """
        try:
            return self._render(part, folder, reporter, cancel, seek=True)
        except OtherFramesError as error:
            if part.cuts[0] == 0:
                raise
            _log.info("%s: reading from the beginning", error)
            for path in folder.iterdir():
                path.unlink()
            return self._render(part, folder, reporter, cancel, seek=False)

    def _render(
        self, part: Part, folder: Path, reporter: Reporter, cancel: CancelToken, *, seek: bool
    ) -> list[Segment]:
        with ExitStack() as stack:
            reader = stack.enter_context(open_reader(self._job.source, self._job.settings.read))
            info = reader.info
            if seek:
                reader.seek(part.cuts[0], part.from_time)
            else:
                reader.skip = part.cuts[0]
            check_frames(info.width, info.height, self._job.settings.dream.memory)
            source = _PartSource(reader, part)
            session = stack.enter_context(
                make_session(
                    self._timeline,
                    self._loaded.resources,
                    Checkpoint(part.cuts[0], part.begin),
                    effect=self._loaded.effect,
                    flow=self._loaded.flow,
                    expected=part.dreamed,
                )
            )
            stack.enter_context(cancel.calling(source.interrupt))
            format = SegmentFormat.of(self._target, info, self._job.settings.write)
            writer = stack.enter_context(_PartWriter(folder, format, part))
            depth = queue_depth(info.width, info.height)
            output = stack.enter_context(
                BackgroundConsumer[Callable[[], None]](lambda write: write(), depth)
            )
            frames = stack.enter_context(closing(render_frames(source, session, depth)))
            for rendered in frames:
                reporter.output(rendered.frame)
                output.put(partial(writer.put, rendered.frame, begins=rendered.begins_scene))
                done = rendered.frame.index - part.cuts[0]
                reporter.frame(replace(rendered.report, index=done))
                cancel.check()
            source.check_end()
            output.close()
            return writer.finish(followed=session.follows_motion)


class _PartSource:
    """The frames of a part, as far as they are those that were planned."""

    def __init__(self, reader: Reader, part: Part) -> None:
        self._reader, self._part = reader, part
        self._count, self._sum = 0, Checksum()
        self.tracks = TrackSource()

    @property
    def info(self) -> VideoInfo:
        return self._reader.info

    def interrupt(self) -> None:
        self._reader.interrupt()

    def __iter__(self) -> Iterator[Frame]:
        part = self._part
        for frame in self._reader:
            self._sum.put(checksum(frame))
            if self._count == 0 and (frame.time, self._sum.value) != (part.from_time, part.begins):
                raise self._error()
            self._count += 1
            yield frame
            if self._count == part.dreamed:
                return

    def check_end(self) -> None:
        """Raise an OtherFramesError unless all frames came, and were those that were planned."""
        if (self._count, self._sum.value) != (self._part.dreamed, self._part.checksum):
            raise self._error()

    def _error(self) -> OtherFramesError:
        return OtherFramesError(
            f"other frames than were planned come from {self._part.span}: has the source changed?"
        )


class _PartWriter:
    """Encodes the frames of a part into its segments. A context manager.

    Frames that are blended with those of another part are kept as they are.
    """

    def __init__(self, folder: Path, format: SegmentFormat, part: Part) -> None:
        self._folder, self._format, self._part = folder, format, part
        self._starts = frozenset(accumulate(part.segments))  # frames at which segments begin
        self._segments = list[Segment]()
        self._cuts = list[int]()
        self._last = part.last
        self._series: SegmentSeries | None = None
        self._spool: Spool | None = None

    def __enter__(self) -> "_PartWriter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._series is not None:
            self._series.discard()
        if self._spool is not None:
            self._spool.close()

    def put(self, frame: Frame, *, begins: bool) -> None:
        """Encode a frame."""
        if begins:
            self._cuts.append(frame.index)
        part, place = self._part, frame.index - self._part.first
        if place < 0:
            return  # the dream settles
        if place in self._starts or place == 0:
            self._close()
        if place < part.fade_in:
            self._keep(frame, faded_in(self._folder, part))
            tick = tick_of(frame, self._format.info.time_base, self._last)
            self._last = self._last if tick is None else tick
        elif place < part.frames:
            if self._series is None:
                number = part.segment + (part.fade_in > 0)
                self._series = SegmentSeries(self._folder, self._format, number, self._last)
            self._series.put(frame)
        else:
            self._keep(frame, faded_out(self._folder, part))

    def _keep(self, frame: Frame, path: Path) -> None:
        if self._spool is None:
            self._spool = Spool(path)
        try:
            self._spool.append(frame)
        except OSError as error:
            raise cannot_write(path, error) from error

    def _close(self) -> None:
        if self._series is not None and (segment := self._series.close()):
            self._segments.append(segment)
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def finish(self, *, followed: bool) -> list[Segment]:
        """Return the segments, all but one that is blended; with motion ``followed``, if rightly.

        Raises:
            InputError: scenes do not begin where they were planned.
        """
        self._close()
        if followed and tuple(self._cuts) != self._part.cuts:
            raise InputError(
                f"scenes begin elsewhere than was planned from {self._part.span}: make the plan on "
                "a machine of the same kind"
            )
        return self._segments
