"""Opens what a job runs on: source, session and sink."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch

from vidream.animate.animation import Animation
from vidream.core.devices import choose_device
from vidream.core.effect import Effect, Resources
from vidream.core.errors import SettingsError
from vidream.core.frames import Frame, HdrPicture, Picture
from vidream.core.memory import MemoryBudget, check_frames
from vidream.core.presets import preset_settings
from vidream.core.queues import queue_depth
from vidream.core.reporting import FrameReport
from vidream.core.settings import Settings
from vidream.effects.passthrough import PassThrough
from vidream.effects.registry import check_over_time, load_effect, weights_of
from vidream.media.encoder import log_odd_size, open_encoder
from vidream.media.info import VideoInfo
from vidream.media.noise import read_picture
from vidream.media.places import PipeTarget, SequenceTarget, StillTarget, VideoTarget
from vidream.media.reader import open_reader
from vidream.media.soundtrack import Soundtrack
from vidream.media.tracks import CombinedTracks, TrackSource
from vidream.postprocess.postprocess import PostProcessor
from vidream.render.checkpoint import Checkpoint
from vidream.render.fingerprint import fingerprint
from vidream.render.guides import open_guide
from vidream.render.job import Job
from vidream.render.loop import Session, Stages
from vidream.render.picture_sink import PictureSink
from vidream.render.record import Record
from vidream.render.segment_sink import SegmentSink
from vidream.render.sinks import Sink, StillSink, StreamSink
from vidream.render.sources import FrameSource, SilentSource, still_source
from vidream.render.work_folder import WorkFolder, open_work
from vidream.temporal.flow import FlowEstimator, load_flow
from vidream.temporal.tracking import MotionTracker
from vidream.timeline.timeline import Timeline, at_peak, open_timeline

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a job runs on."""

    source: FrameSource
    session: Session
    sink: Sink
    expected: int | None  # number of frames, if known
    depth: int  # frames that may wait between two threads


def open_setup(job: Job, stack: ExitStack) -> Setup:
    """Open everything that a job runs on, to be closed with the stack; raises VidreamError."""
    if job.source.is_picture:
        return _open_picture(job, stack)
    timeline = open_timeline(job.settings, job.source)
    settings = timeline.settings
    reader = stack.enter_context(open_reader(job.source, settings.read))
    info = reader.info
    check_frames(info.width, info.height, settings.dream.memory)
    device = choose_device(settings.dream.device)
    work = _open_work(job, device, stack)
    checkpoint = Checkpoint() if work is None else work.checkpoint
    reader.skip = checkpoint.frames
    budget = MemoryBudget(settings.dream.memory, device, *(checkpoint.memory or ()))
    resources = Resources(job.reporter, budget)
    session = make_session(timeline, resources, checkpoint, expected=info.frames)
    stack.enter_context(session)
    if settings.read.keep_alpha and not info.has_alpha:
        _log.info("the source has no transparency: `keep_alpha` changes nothing")
    info = with_record(info, _record(job, session.effect))
    sink = _open_sink(job, work, info, reader, stack)
    return _setup(reader, session, sink, stack)


def _open_picture(job: Job, stack: ExitStack) -> Setup:
    """Open a still, or an animation of one."""
    settings = at_peak(job.settings)
    still = read_picture(job.source, settings.read, settings.dream.seed)
    height, width = still.image.shape[:2]
    check_frames(width, height, settings.dream.memory)
    device = choose_device(settings.dream.device)
    resources = Resources(job.reporter, MemoryBudget(settings.dream.memory, device))
    source = still_source(still)
    if job.is_animation:
        animation = Animation(still.image, open_timeline(job.settings), device)
        timeline = Timeline(animation.settings)
        effect = load_effect(animation.settings, resources)
        check_over_time(effect, settings.effect, animation.timeline.names)
        source = SilentSource(animation.plan.info, animation.frames(effect, job.reporter))
        shown: Effect = PassThrough(settings, resources)
    else:
        timeline = Timeline(settings)
        effect = shown = load_effect(settings, resources)
    record = _record(job, effect)
    session = make_session(timeline, resources, effect=shown, expected=source.info.frames)
    stack.enter_context(session)
    if isinstance(job.target, StillTarget):
        sink: Sink = StillSink(job.target, still, settings.write, record.text)
    else:
        info = with_record(source.info, record)
        sink = _open_sink(job, _open_work(job, device, stack), info, source, stack)
    return _setup(source, session, sink, stack)


def _setup(source: FrameSource, session: Session, sink: Sink, stack: ExitStack) -> Setup:
    info = source.info
    depth = queue_depth(info.width, info.height)
    return Setup(source, session, stack.enter_context(sink), info.frames, depth)


def _open_work(job: Job, device: torch.device, stack: ExitStack) -> WorkFolder | None:
    """Open the work folder of a file: for what is made in one go only its lock is of use."""
    if not isinstance(job.target, (VideoTarget, SequenceTarget)):
        return None
    run = fingerprint(job.source, job.settings)
    return stack.enter_context(open_work(job.target.path, run, job.settings.write, device))


def _record(job: Job, effect: Effect) -> Record:
    return Record.of(job.source, job.settings, weights_of(effect))


def with_record(info: VideoInfo, record: Record) -> VideoInfo:
    """Return what is written of a video, with a record in its comment."""
    comment = record.within(info.metadata.get("comment"))
    return replace(info, metadata={**info.metadata, "comment": comment})


def _open_sink(
    job: Job, work: WorkFolder | None, info: VideoInfo, source: FrameSource, stack: ExitStack
) -> Sink:
    target, write = job.target, job.settings.write
    tracks = open_tracks(job, source, stack)
    in_one_go = job.source.is_live or job.is_animation
    if isinstance(target, SequenceTarget):
        assert work is not None
        log_lost(info, tracks)
        return PictureSink(work, info, write, is_resumable=not in_one_go)
    assert isinstance(target, (VideoTarget, PipeTarget))
    if in_one_go or work is None or isinstance(target, PipeTarget):
        return StreamSink(open_encoder(target, info, write, tracks), target.name)

    def on_join(done: int, total: int) -> None:
        job.reporter.join(done, total)
        job.cancel.check()

    log_odd_size(target, info, write)
    return SegmentSink(work, target, info, write, tracks, on_join)


def open_tracks(job: Job, source: FrameSource, stack: ExitStack) -> TrackSource:
    """Open the sound and the subtitles of a target."""
    read = job.settings.read
    if read.audio is None:
        return source.tracks
    sound = stack.enter_context(Soundtrack(read.audio, read.start))
    return CombinedTracks(sound, source.tracks) if source.tracks.streams else sound


def log_lost(info: VideoInfo, tracks: TrackSource) -> None:
    """Log what a clip has that pictures do not hold."""
    names = {"audio": "sound", "subtitle": "subtitles"}
    lost = list(dict.fromkeys(names[stream.type] for stream in tracks.streams))
    lost += [name for name in ("chapters", "cover") if getattr(info, name)]
    if lost:
        _log.info("pictures hold no %s: left out", ", ".join(lost))


def open_session(
    settings: Settings | None = None,
    *,
    effect: Effect | None = None,
    flow: FlowEstimator | None = None,
    expected: int | None = None,
) -> Session:
    """Open a session for frames of one's own; see :class:`~vidream.render.loop.Session`.

    Args:
        settings: by default those of the default preset.
        effect: instead of the one of ``settings``.
        flow: optical flow, likewise.
        expected: number of frames, for the reports.

    Raises:
        VidreamError: the effect, its weights, the mask or the guide cannot be loaded.
    """
    timeline = open_timeline(settings or preset_settings())
    return make_session(timeline, Resources(), effect=effect, flow=flow, expected=expected)


def dream_frames(
    frames: Iterable[Frame | Picture | HdrPicture],
    settings: Settings | None = None,
    *,
    effect: Effect | None = None,
    flow: FlowEstimator | None = None,
    expected: int | None = None,
) -> Iterator[tuple[Frame, FrameReport]]:
    """Dream frames, or uint8 (uint16) ``[H, W, 3]`` RGB arrays; see :func:`open_session`.

    Yields:
        The output, with the index and times of its frame, and a report.
    """
    with open_session(settings, effect=effect, flow=flow, expected=expected) as session:
        for frame in frames:
            rendered = session.render(frame)
            yield rendered.frame, rendered.report


def make_session(
    timeline: Timeline,
    resources: Resources,
    checkpoint: Checkpoint | None = None,
    *,
    effect: Effect | None = None,
    flow: FlowEstimator | None = None,
    expected: int | None = None,
) -> Session:
    """Open the session of a timeline, from a checkpoint on."""
    settings, checkpoint = timeline.settings, checkpoint or Checkpoint()
    with ExitStack() as stack:
        postprocess = stack.enter_context(PostProcessor(settings.postprocess))
        dream, guide = open_guide(settings.dream)
        if guide is not None:
            stack.enter_context(guide)
            timeline = timeline.with_dream(dream)
            settings = timeline.settings
        effect = effect or load_effect(settings, resources)
        check_over_time(effect, settings.effect, timeline.names)
        if guide is not None and "guide" not in effect.over_time:
            raise SettingsError("`guide` is for the effect dream: leave it out")
        device = choose_device(settings.dream.device) if effect.recurrent else torch.device("cpu")
        tracker = None
        if effect.recurrent and settings.dream.coherence > 0:
            flow = flow or load_flow(settings.dream.flow, device)
            tracker = MotionTracker(flow, settings.dream.recall, device, checkpoint.tracker)
        stages = Stages(timeline, effect, postprocess, tracker, guide, device, resources.memory)
        return Session(stages, checkpoint, expected, stack.pop_all())
    raise AssertionError  # for mypy: the stack swallows nothing
