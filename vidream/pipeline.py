"""From a source to a target: reader → frame loop → writer, for clips, pipes, stills and films."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from vidream.dreamer import Room, choose_device
from vidream.dreamer.memory import check_frames
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
from vidream.frames import Frame, to_eight_bits
from vidream.guides import open_guide
from vidream.loop import dream_frames, frame_loop, frames_among
from vidream.media import AudioPacket, Place, VideoInfo, is_pipe
from vidream.presets import preset_settings
from vidream.processors import Processor, check_tunable, load_processor, weights_of
from vidream.queues import Behind, queue_depth
from vidream.reader import is_live, open_reader
from vidream.record import Record
from vidream.settings import DreamSettings, FinishSettings, Settings
from vidream.sound import Soundtrack
from vidream.stills import write_still
from vidream.timeline import Timeline, open_timeline, peaked
from vidream.work import fingerprint, open_work
from vidream.writer import (
    FrameReport,
    OnJoin,
    Progress,
    Recording,
    SoundUntil,
    Writer,
    check_target,
    open_writer,
)

Download = Callable[[int, int | None], None]


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
        guide, dream = open_guide(settings.dream, stack)
        processor = _processor(settings, dream, on_download)
        check_tunable(processor, settings.effect, timeline.names)
        info, items = recorded(reader.info, source, asked), iter(reader)
        track = _track(settings, settings.read.start, stack)
        if track is not None:
            info, items = track.on(info), track.among(items)
        writer, output = _outlet(source, target, asked, info, stack)
        dreams = frame_loop(
            items,
            info,
            processor,
            finish,
            timeline,
            guide=guide,
            heard=output.put,
            interrupt=reader.interrupt,
        )
        stack.enter_context(closing(dreams))
        pairs = ((frame, report) for frame, report, _ in dreams)
        return _write_out(pairs, output, writer, progress)


def _outlet(
    source: Place, target: Place, settings: Settings, info: VideoInfo, stack: ExitStack
) -> tuple[Writer, Behind[Frame | AudioPacket]]:
    """Open a target that is made in one go, and the queue of what goes there."""
    if not is_pipe(target):
        # Of the work folder only its lock is wanted, which keeps other runs away.
        place = Path(os.fspath(target))  # type: ignore[arg-type]
        stack.enter_context(open_work(place, fingerprint(source, settings), settings.write))
    writer = stack.enter_context(open_writer(target, info, settings.write))
    output = Behind(_put_on(writer), queue_depth(info.width, info.height))
    return writer, stack.enter_context(output)


def _track(settings: Settings, start: float | None, stack: ExitStack) -> Soundtrack | None:
    """Open the sound that replaces the clip's own, from a time in it on; None if none does."""
    if settings.read.audio is None:
        return None
    return stack.enter_context(Soundtrack(settings.read.audio, start))


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
        guide, dream = open_guide(settings.dream, stack)
        processor = _processor(settings, dream, on_download, point.room)
        check_tunable(processor, settings.effect, timeline.names)
        info = recorded(reader.info, source, asked)
        sound: SoundUntil = lambda end, _: reader.sound(end)  # noqa: E731
        track = _track(settings, settings.read.start, stack)
        if track is not None:
            info, sound = track.on(info), track.until
        recording = Recording(work, info, sound, settings)
        dreams = frame_loop(reader, info, processor, finish, timeline, point=point, guide=guide)
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
    dream = settings.film.deepened(settings.dream)
    processor = _processor(settings, dream, on_download)
    check_tunable(processor, settings.effect, timeline.names)
    info = recorded(info, source, asked)
    frames = film_frames(picture, settings, processor=processor, on_step=on_step, timeline=timeline)
    with ExitStack() as stack:
        items: Iterable[Frame | AudioPacket] = frames
        track = _track(settings, None, stack)
        if track is not None:
            info, items = track.on(info), track.among(frames)
        writer, output = _outlet(source, target, asked, info, stack)
        pictures = frames_among(items, output.put)
        return _write_out(_timed(pictures, info.frames), output, writer, progress)


def _timed(frames: Iterable[Frame], expected: int | None) -> Iterator[tuple[Frame, FrameReport]]:
    """Report on the frames of a film; each but the first carries the dream before it."""
    began = time.perf_counter()
    for frame in frames:
        seconds = time.perf_counter() - began
        carried = frame.index > 0
        yield frame, FrameReport(frame.index, expected, float(frame.time), seconds, carried)
        began = time.perf_counter()


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


def _put_on(writer: Writer) -> Callable[[Frame | AudioPacket], None]:
    def put(item: Frame | AudioPacket) -> None:
        if isinstance(item, AudioPacket):
            writer.write_audio(item)
        else:
            writer.write(item)

    return put
