"""The frame loop: reader → start image → processor → finish → writer, overlapping each other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from vidream.dreamer import choose_device
from vidream.errors import InputError, SettingsError
from vidream.films import (
    OnStep,
    film_frames,
    is_pictured,
    makes_film,
    plan_film,
    read_picture,
    usual_preset,
)
from vidream.finish import Finish
from vidream.flow import FlowEstimator, load_flow
from vidream.frames import (
    DeepPicture,
    Frame,
    Picture,
    to_deep_picture,
    to_eight_bits,
    to_picture,
    to_tensor,
)
from vidream.joining import OnJoin
from vidream.media import AudioPacket, Place, VideoInfo, is_pipe
from vidream.memory import check_frames
from vidream.motion import Motion, MotionTracker, Trail
from vidream.presets import preset_settings
from vidream.processors import Processor, check_tunable, load_processor, tuned, weights_of
from vidream.queues import Behind, ahead, queue_depth
from vidream.reader import is_live, open_reader
from vidream.record import Record
from vidream.recording import Dreamed, FrameReport, Progress, Recording, SoundUntil
from vidream.settings import DreamSettings, FinishSettings, Settings
from vidream.soundtrack import Soundtrack
from vidream.stills import write_still
from vidream.survey import Room
from vidream.temporal import Carrier, MotionCarrier, remember
from vidream.timeline import Clock, Timeline, open_timeline, peaked
from vidream.work import Point, fingerprint, open_work
from vidream.writer import Writer, check_target, open_writer

T = TypeVar("T")

Followed = tuple[Frame, Motion, Trail | None]
"""A frame, what is known of it from those before it, and what later ones will be known by."""

SPARE_CORE = (os.cpu_count() or 1) > 2
"""Whether motion is followed beside the dreamer: on two cores that only takes turns with it."""


Download = Callable[[int, int | None], None]


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
    followed = (_follow(frame, tracker) for frame in numbered)
    finish = finish or Finish(FinishSettings())
    dreams = _dream(followed, timeline, processor, carrier, finish, expected)
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


def _follow(frame: Frame, tracker: MotionTracker | None) -> Followed:
    if tracker is None:
        return frame, Motion(cut=True), None
    motion = tracker.track(frame.image, frame.index)
    return frame, motion, tracker.trail


def _dream(
    followed: Iterable[Followed],
    timeline: Timeline,
    processor: Processor,
    carrier: Carrier | None,
    finish: Finish,
    expected: int | None,
    point: Point | None = None,
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
        carried, again = True, picture is not None and motion.duplicate
        now = timeline.at(clock(frame))
        if not again:
            source = to_tensor(frame.image, device)
            state = None if motion.cut else state
            carries = carrier or MotionCarrier(now.dream.carried_share)
            start = carries.start(source, state, motion)
            worker = tuned(processor, now) if timeline.names else processor
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


def dream_video(
    source: Place,
    target: Place,
    settings: Settings | None = None,
    *,
    progress: Progress | None = None,
    on_download: Download | None = None,
    on_step: OnStep | None = None,
    on_join: OnJoin | None = None,
) -> int:
    """Dream a video, or a still, into a file; or make a film of a still.

    The target appears under its name when it is whole. What is done of a video lies in the work
    folder ``.TARGET.vidream`` until then; should the run be cut short in whatever way, one with
    ``settings.write.resume`` goes on from there, to the same file. A ``KeyboardInterrupt`` is
    raised again, with a note that says what is there. Pipes and films are ended properly by it,
    after the last whole frame.

    Args:
        source: path of a video or a picture; ``"-"`` or a binary stream for Y4M or NUT;
            ``"noise:640x360"`` for a picture of noise.
        target: path whose suffix chooses the container; ``"-"`` or a binary stream likewise.
        settings: everything else; by default those of :func:`vidream.films.usual_preset`.
        progress: called with a :class:`FrameReport` after each frame.
        on_download: called with bytes so far and bytes in all, should weights be downloaded.
        on_step: called after each gradient step of a film of octaves, whose frames take long, with
            pixels stepped so far and in all.
        on_join: called with frames joined so far and in all, when a video is put together.

    Returns:
        The number of frames written.

    Raises:
        VidreamError: any of its kinds; its text is one line for the user.
    """
    settings = settings or preset_settings(usual_preset(source, target))
    asked, settings = settings, peaked(settings)
    check_resume(source, target, settings)
    filmed = makes_film(source, target, settings.film)
    still = is_pictured(source) and not filmed
    check_target(target, source, settings.write, still=still)
    if still:
        return _dream_still(source, target, settings, progress, on_download)
    timeline = open_timeline(asked, None if filmed else source)
    if filmed:
        return _film(source, target, asked, timeline, progress, on_download, on_step)
    if is_live(source) or is_pipe(target):
        return _dream_live(source, target, asked, timeline, progress, on_download)
    return _dream_file(source, target, asked, timeline, progress, on_download, on_join)


def check_resume(source: Place, target: Place, settings: Settings) -> None:
    """Refuse to go on with what cannot be gone on with.

    Raises:
        SettingsError: it cannot.
    """
    if not settings.write.resume:
        return
    if is_live(source) or is_pipe(target):
        raise SettingsError(
            "a pipe or a camera cannot be gone on with: leave resume out, or name files"
        )
    if makes_film(source, target, settings.film):
        raise SettingsError("a film of a still is made in one go: leave resume out")


def _dream_live(
    source: Place,
    target: Place,
    asked: Settings,
    timeline: Timeline,
    progress: Progress | None,
    on_download: Download | None,
) -> int:
    """Dream what cannot be read or written a second time, and write it as it comes."""
    settings = timeline.settings
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(source, settings.read))
        check_frames(reader.info.width, reader.info.height, settings.dream.memory)
        finish = stack.enter_context(Finish(settings.finish, settings.read.start))
        processor = _processor(settings, settings.dream, on_download)
        check_tunable(processor, settings.effect, timeline.names)
        info, items = recorded(reader.info, source, asked), iter(reader)
        if settings.read.audio is not None:
            sound = Soundtrack(settings.read.audio, settings.read.start)
            stack.enter_context(sound)
            info, items = sound.on(info), sound.among(items)
        stack.enter_context(_locked(source, target, asked))
        writer = stack.enter_context(open_writer(target, info, settings.write))
        output = Behind(_put_on(writer), queue_depth(info.width, info.height))
        stack.enter_context(output)
        dreams = _render(
            items, info, processor, finish, timeline, heard=output.put, interrupt=reader.interrupt
        )
        stack.enter_context(closing(dreams))
        pairs = ((frame, report) for frame, report, _ in dreams)
        return _write_out(pairs, output, writer, progress)


def _locked(source: Place, target: Place, settings: Settings) -> AbstractContextManager[object]:
    """Keep other runs from a target that is made in one go: of what is open, only its lock."""
    if is_pipe(target):
        return nullcontext()
    place = Path(os.fspath(target))  # type: ignore[arg-type]
    return open_work(place, fingerprint(source, settings), settings.write)


def _dream_file(
    source: Place,
    target: Place,
    asked: Settings,
    timeline: Timeline,
    progress: Progress | None,
    on_download: Download | None,
    on_join: OnJoin | None,
) -> int:
    """Dream a file into a file, from where an earlier run stopped if that is asked."""
    settings = timeline.settings
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(source, settings.read))
        check_frames(reader.info.width, reader.info.height, settings.dream.memory)
        device = choose_device(settings.dream.device)
        place, run = Path(os.fspath(target)), fingerprint(source, asked)  # type: ignore[arg-type]
        work = stack.enter_context(open_work(place, run, settings.write, device))
        point = work.point
        reader.skip = point.frames
        finish = Finish(settings.finish, settings.read.start, point.begin)
        stack.enter_context(finish)
        processor = _processor(settings, settings.dream, on_download, point.room)
        check_tunable(processor, settings.effect, timeline.names)
        info = recorded(reader.info, source, asked)
        sound: SoundUntil = lambda end, _: reader.sound(end)  # noqa: E731
        if settings.read.audio is not None:
            track = Soundtrack(settings.read.audio, settings.read.start)
            stack.enter_context(track)
            info, sound = track.on(info), track.until
        recording = Recording(work, info, sound, settings)
        dreams = _render(reader, info, processor, finish, timeline, point=point)
        return recording.make(dreams, point, progress, on_join)


def record_of(source: Place, settings: Settings) -> Record:
    """Make the record of what is dreamed; its weights are there by now."""
    return Record.of(source, settings, weights_of(settings.effect, settings.dream))


def recorded(info: VideoInfo, source: Place, settings: Settings) -> VideoInfo:
    """Let what the writer knows of a clip say how its dream is made."""
    comment = record_of(source, settings).within(info.metadata.get("comment"))
    return replace(info, metadata={**info.metadata, "comment": comment})


def _dream_still(
    source: Place,
    target: Place,
    settings: Settings,
    progress: Progress | None,
    on_download: Download | None,
) -> int:
    if settings.time.names:
        raise SettingsError(
            "a picture has no time for settings to change in: leave key, keys and audio-reactive "
            "out, or make a film of it"
        )
    if settings.read.audio is not None:
        raise SettingsError("a picture has no sound: leave audio out, or make a film of it")
    still = read_picture(source, settings)
    height, width = still.image.shape[:2]
    check_frames(width, height, settings.dream.memory)
    with Finish(settings.finish) as finish:
        processor = _processor(settings, settings.dream, on_download)
        frames = dream_frames(
            [still.image], settings.dream, processor=processor, finish=finish, expected=1
        )
        for frame, report in frames:
            comment = record_of(source, settings).text
            picture = to_eight_bits(frame.image)
            write_still(target, still.replaced(picture, comment), settings.write)
            if progress is not None:
                progress(report)
    return 1


def _processor(
    settings: Settings,
    dream: DreamSettings,
    on_download: Download | None,
    room: Room | None = None,
) -> Processor:
    """Load the effect that the settings name, with what belongs to it."""
    style, examples = settings.style, settings.examples
    return load_processor(settings.effect, dream, on_download, style, examples, room)


def _film(
    source: Place,
    target: Place,
    asked: Settings,
    timeline: Timeline,
    progress: Progress | None,
    on_download: Download | None,
    on_step: OnStep | None,
) -> int:
    """Make a film of a still, and encode it while it is made."""
    settings = timeline.settings
    if settings.finish != FinishSettings():
        raise SettingsError(
            "a film of a still is shown as it is dreamed: leave mask, feather, strength, "
            "keep-edges, keep-color and match-color out"
        )
    picture = read_picture(source, settings).image
    info = plan_film(picture, settings, timeline).info
    check_frames(info.width, info.height, settings.dream.memory)
    depth = queue_depth(info.width, info.height)
    dream = settings.film.deepened(settings.dream)
    processor = _processor(settings, dream, on_download)
    check_tunable(processor, settings.effect, timeline.names)
    info = recorded(info, source, asked)
    frames = film_frames(picture, settings, processor=processor, on_step=on_step, timeline=timeline)
    with ExitStack() as stack:
        items: Iterable[Frame | AudioPacket] = frames
        if settings.read.audio is not None:
            sound = stack.enter_context(Soundtrack(settings.read.audio))
            info, items = sound.on(info), sound.among(frames)
        stack.enter_context(_locked(source, target, asked))
        writer = stack.enter_context(open_writer(target, info, settings.write))
        output = stack.enter_context(Behind(_put_on(writer), depth))
        pictures = _pictures(items, output.put)
        return _write_out(_timed(pictures, info.frames), output, writer, progress)


def _timed(frames: Iterable[Frame], expected: int | None) -> Iterator[tuple[Frame, FrameReport]]:
    """Report on the frames of a film; each but the first carries the dream before it."""
    began = time.perf_counter()
    for frame in frames:
        seconds = time.perf_counter() - began
        carried = frame.index > 0
        yield frame, FrameReport(frame.index, expected, float(frame.time), seconds, carried)
        began = time.perf_counter()


def _render(
    items: Iterable[Frame | AudioPacket],
    info: VideoInfo,
    processor: Processor,
    finish: Finish,
    timeline: Timeline,
    *,
    point: Point | None = None,
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
        _followed(read, tracker, depth) as followed,
        ExitStack() as last,
    ):
        if interrupt is not None:
            last.callback(interrupt)
        pictures = _pictures(followed, heard)
        yield from _dream(pictures, timeline, processor, None, finish, info.frames, point)


def _pictures(
    items: Iterable[T | AudioPacket], heard: Callable[[AudioPacket], None] | None
) -> Iterator[T]:
    """Pass frames on to the dreamer, and packets of sound straight to who wants them."""
    for item in items:
        if not isinstance(item, AudioPacket):
            yield item
        elif heard is not None:
            heard(item)


def _write_out(
    dreams: Iterable[tuple[Frame, FrameReport]],
    output: Behind[Frame | AudioPacket],
    writer: Writer,
    progress: Progress | None,
) -> int:
    """Write dreams as they come; the file is finished even if the user interrupts them."""
    done = 0
    try:
        for frame, report in dreams:
            output.put(frame)
            done += 1
            if progress is not None:
                progress(report)
    except KeyboardInterrupt:
        if done:
            output.close()
            writer.finish()
        raise
    output.close()
    if not done:
        raise InputError("the source gives no frame to dream: is it whole?")
    writer.finish()
    return done


@contextmanager
def _followed(
    items: Iterable[Frame | AudioPacket], tracker: MotionTracker | None, depth: int
) -> Iterator[Iterator[Followed | AudioPacket]]:
    """Follow the motion of the frames; while the one before is dreaming, if a core is free."""

    def follow() -> Iterator[Followed | AudioPacket]:
        for item in items:
            yield item if isinstance(item, AudioPacket) else _follow(item, tracker)

    if tracker is None or not SPARE_CORE:
        yield follow()
    else:
        with ahead(follow(), depth) as followed:
            yield followed


def _put_on(writer: Writer) -> Callable[[Frame | AudioPacket], None]:
    def put(item: Frame | AudioPacket) -> None:
        if isinstance(item, AudioPacket):
            writer.write_audio(item)
        else:
            writer.write(item)

    return put
