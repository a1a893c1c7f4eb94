"""The frame loop: motion → start image → processor → finish, overlapping each other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from vidream.dreamer import choose_device
from vidream.finish import Finish
from vidream.flow import FlowEstimator, load_flow
from vidream.frames import DeepPicture, Frame, Picture, to_deep_picture, to_picture, to_tensor
from vidream.guides import GuideVideo
from vidream.media import AudioPacket, VideoInfo
from vidream.processors import Processor, load_processor, tuned
from vidream.queues import ahead, queue_depth
from vidream.settings import DreamSettings, FinishSettings, Settings
from vidream.temporal import Carrier, Motion, MotionCarrier, MotionTracker, Trail, remember
from vidream.timeline import Clock, Timeline
from vidream.work import Point
from vidream.writer import Dreamed, FrameReport

T = TypeVar("T")

Followed = tuple[Frame, Motion, Trail | None]
"""A frame, what is known of it from those before it, and what later ones will be known by."""

SPARE_CORE = (os.cpu_count() or 1) > 2
"""Whether motion is followed beside the dreamer: on two cores that only takes turns with it."""


def dream_frames(
    frames: Iterable[Frame | Picture | DeepPicture],
    settings: DreamSettings | None = None,
    *,
    processor: Processor | None = None,
    carrier: Carrier | None = None,
    estimator: FlowEstimator | None = None,
    finish: Finish | None = None,
    expected: int | None = None,
    timeline: Timeline | None = None,
) -> Iterator[tuple[Frame, FrameReport]]:
    """Dream frames as they come, one in and one out, for a pipeline of one's own.

    Args:
        frames: frames, or uint8 (or uint16) ``[H, W, 3]`` RGB arrays.
        settings: what to dream; the defaults if left out.
        processor: what to do to each frame, instead of the dreamer that ``settings`` describe.
        carrier: how the dream is carried on, instead of along the motion.
        estimator: of optical flow, instead of the one that ``settings`` name.
        finish: what becomes of each dream before it is shown; nothing if left out.
        expected: frames in all, for the reports.
        timeline: settings that change over time, in place of ``settings``.

    Yields:
        The dreamed frame, with the index and times of its source, and a report. A frame that
        shows the same as the one before has the same dream, at no cost.

    Raises:
        VidreamError: whatever the network, its weights or its device raise.
    """
    timeline = timeline or Timeline(Settings(dream=settings or DreamSettings()))
    settings = timeline.settings.dream
    processor = processor or load_processor("dream", settings)
    tracker = make_tracker(settings, processor, estimator)
    numbered = (
        item if isinstance(item, Frame) else Frame(item, index=number, pts=number)
        for number, item in enumerate(frames)
    )
    followed = (follow(frame, tracker) for frame in numbered)
    finish = finish or Finish(FinishSettings())
    dreams = dream_followed(followed, timeline, processor, carrier, finish, expected)
    return ((frame, report) for frame, report, _ in dreams)


def make_tracker(
    settings: DreamSettings,
    processor: Processor,
    estimator: FlowEstimator | None = None,
    trail: Trail | None = None,
) -> MotionTracker | None:
    """Make what follows the motion of the source; None if nothing is to be carried along it."""
    if not processor.recurrent or settings.carried_share == 0:
        return None
    device = choose_device(settings.device)
    flow = estimator or load_flow(settings.flow, device)
    return MotionTracker(flow, settings.recall, device, trail)


def follow(frame: Frame, tracker: MotionTracker | None) -> Followed:
    """Find out how a frame goes on from those before it."""
    if tracker is None:
        return frame, Motion(cut=True), None
    motion = tracker.track(frame.image, frame.index)
    return frame, motion, tracker.trail


def dream_followed(
    followed: Iterable[Followed],
    timeline: Timeline,
    processor: Processor,
    carrier: Carrier | None,
    finish: Finish,
    expected: int | None,
    point: Point | None = None,
    guide: GuideVideo | None = None,
) -> Iterator[Dreamed]:
    """Dream frames whose motion is known, from a point on."""
    device = choose_device(timeline.settings.dream.device) if processor.recurrent else "cpu"
    point = point or Point()
    clock = Clock(timeline.settings.read.start, point.begin)
    state, picture = point.state, point.picture
    if state is not None:
        source, dream = state.source, state.dream
    for frame, motion, trail in followed:
        began = time.perf_counter()
        # A guide that moves lets the same frame become something else.
        carried, again = True, picture is not None and motion.duplicate and guide is None
        when = clock(frame)
        now = timeline.at(when)
        if not again:
            source = to_tensor(frame.image, device)
            state = None if motion.cut else state
            carries = carrier or MotionCarrier(now.dream.carried_share)
            start = carries.start(source, state, motion)
            worker = guide.leads(processor, when) if guide is not None else processor
            worker = tuned(worker, now) if timeline.names else worker
            dream, memo = worker.process(start, source, frame.index)
            if processor.recurrent:
                slots = now.dream.recall
                state = remember(state, motion, frame.index, source, dream, memo, slots)
            carried = start.carried
        # A frame shown twice is shown alike, also where encoding has changed it a little.
        if picture is None or not again or finish.moving or timeline.names:
            amounts = now.finish if timeline.names else None
            shown = finish(dream, source, frame, amounts)
            picture = to_deep_picture(shown) if frame.deep else to_picture(shown)
        report = FrameReport(
            index=frame.index,
            expected=expected,
            time=float(frame.time),
            seconds=time.perf_counter() - began,
            carried=carried,
            cut=motion.cut,
            duplicate=motion.duplicate,
        )
        begin = frame.time if point.begin is None else point.begin
        room = getattr(processor, "room", None)
        point = Point(frame.index + 1, begin, state, trail, picture, room)
        yield Frame(picture, frame.index, frame.pts, frame.time_base, frame.duration), report, point


def frame_loop(
    items: Iterable[Frame | AudioPacket],
    info: VideoInfo,
    processor: Processor,
    finish: Finish,
    timeline: Timeline,
    *,
    point: Point | None = None,
    guide: GuideVideo | None = None,
    heard: Callable[[AudioPacket], None] | None = None,
    interrupt: Callable[[], None] | None = None,
) -> Generator[Dreamed]:
    """Run the loop, its parts side by side.

    ``heard`` takes the packets of sound. At the end ``interrupt`` is called: whoever reads may be
    waiting for what does not come.
    """
    trail = point.trail if point is not None else None
    tracker = make_tracker(timeline.settings.dream, processor, trail=trail)
    depth = queue_depth(info.width, info.height)
    with (
        ahead(items, depth) as read,
        _following(read, tracker, depth) as followed,
        ExitStack() as last,
    ):
        if interrupt is not None:
            last.callback(interrupt)
        pictures = frames_among(followed, heard)
        yield from dream_followed(
            pictures, timeline, processor, None, finish, info.frames, point, guide
        )


def frames_among(
    items: Iterable[T | AudioPacket], heard: Callable[[AudioPacket], None] | None
) -> Iterator[T]:
    """Pass frames on to the dreamer, and packets of sound straight to who wants them."""
    for item in items:
        if not isinstance(item, AudioPacket):
            yield item
        elif heard is not None:
            heard(item)


@contextmanager
def _following(
    items: Iterable[Frame | AudioPacket], tracker: MotionTracker | None, depth: int
) -> Iterator[Iterator[Followed | AudioPacket]]:
    """Follow the motion of the frames; while the one before is dreaming, if a core is free."""

    def items_followed() -> Iterator[Followed | AudioPacket]:
        for item in items:
            yield item if isinstance(item, AudioPacket) else follow(item, tracker)

    if tracker is None or not SPARE_CORE:
        yield items_followed()
    else:
        with ahead(items_followed(), depth) as followed:
            yield followed
