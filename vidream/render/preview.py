"""Previews: what variants of settings make of some moments of a clip, side by side."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count

from vidream.core.devices import choose_device
from vidream.core.effect import Effect, Resources
from vidream.core.errors import InputError
from vidream.core.frames import Frame, Picture, to_eight_bits
from vidream.core.memory import MemoryBudget
from vidream.core.reporting import CancelToken, Reporter
from vidream.core.settings import ReadSettings, Settings
from vidream.dream.build_objective import layers_to_load
from vidream.dream.dreamer import Dreamer
from vidream.effects.dream import DreamEffect
from vidream.media.encoder import open_encoder
from vidream.media.info import VideoInfo
from vidream.media.noise import read_picture
from vidream.media.places import Source, StillTarget, VideoTarget
from vidream.media.reader import open_reader
from vidream.media.sheet import Layout, draw_labels, put, scaled, square_wrap
from vidream.media.stills import Still, write_still
from vidream.networks.network import Network
from vidream.networks.registry import find_network
from vidream.render.checkpoint import Checkpoint
from vidream.render.loop import Session
from vidream.render.setup import make_session
from vidream.timeline.timeline import Timeline, open_timeline

Progress = Callable[[int, int], None]
"""Called with the dreams so far, and of all."""

_MOST_FPS = 25.0  # of a preview that moves


@dataclass(frozen=True, slots=True)
class Variant:
    """A column of a preview."""

    label: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class PreviewSettings:
    """What of a clip is shown, and how large."""

    at: tuple[float, ...] = ()  # moments, in seconds; none for ``moments`` of them, spread evenly
    moments: int = 3
    max_side: int = 512  # longer side at which frames are dreamed, in pixels
    cell: int = 320  # width of a cell
    seconds: float = 2.0  # length of a preview that moves


class Sessions:
    """Opens sessions for variants of settings; those of one network share it.

    Args:
        reporter: receives the progress of downloads.
        moving: whether their frames follow each other.
        most: networks that are kept.
    """

    def __init__(
        self, reporter: Reporter | None = None, *, moving: bool = False, most: int = 32
    ) -> None:
        self._reporter, self._moving, self._most = reporter or Reporter(), moving, most
        self._networks: dict[tuple[object, ...], Network] = {}

    def open(self, settings: Settings, source: Source) -> Session:
        """Open the session of all of a source, whose frames have their times in it."""
        whole = settings.updated(start=None, end=None, duration=None, frames=None, fps=None)
        if not self._moving:  # what it takes to go on from a frame is not needed
            whole = whole.updated(coherence=0.0)
        timeline = open_timeline(whole, source)
        settings = timeline.settings
        device = choose_device(settings.dream.device)
        resources = Resources(self._reporter, MemoryBudget(settings.dream.memory, device))
        # Times are the clip's own.
        begin = Checkpoint(begin=Fraction(0))
        return make_session(timeline, resources, begin, effect=self._effect(timeline, resources))

    def _effect(self, timeline: Timeline, resources: Resources) -> Effect | None:
        settings = timeline.settings
        dream = settings.dream
        if settings.effect != "dream" or dream.guide is not None:
            return None
        layers, also = layers_to_load(dream, settings.style, find_network(dream.network))
        key = (dream.network, *layers, None, *also, dream.weights, dream.device, dream.precision)
        dreamer = Dreamer(
            dream,
            style=settings.style,
            network=self._networks.get(key),
            on_download=self._reporter.download,
            budget=resources.memory,
        )
        self._networks.pop(key, None)
        self._networks[key] = dreamer.network
        while len(self._networks) > self._most:  # the one that was not used for longest
            self._networks.pop(next(iter(self._networks)))
        return DreamEffect(settings, resources, dreamer=dreamer)


def preview_sheet(
    source: Source,
    target: StillTarget,
    variants: Sequence[Variant],
    wanted: PreviewSettings,
    progress: Progress,
    *,
    reporter: Reporter | None = None,
    cancel: CancelToken | None = None,
    with_source: bool = True,
) -> None:
    """Write a picture: a row for each moment of a clip, a column for each variant.

    A still has one row, in several lines.

    Raises:
        CancelledError: it was cancelled; nothing is written.
        VidreamError: whatever opening and dreaming raise.
    """
    frames = moments_of(source, variants[0].settings, wanted)
    sessions = Sessions(reporter)
    layout = _layout(frames, variants, wanted, with_source=with_source)
    first = int(with_source)
    cells = {(row, 0): _shown(frame, layout) for row, frame in enumerate(frames)} if first else {}
    counted = _counter(len(frames) * len(variants), progress, cancel)
    for column, variant in enumerate(variants, first):
        with sessions.open(variant.settings, source) as session:
            for row, frame in enumerate(frames):
                session.flush()
                cells[row, column] = _shown(session.push(frame), layout)
                counted()
    picture = put(draw_labels(layout), layout, cells)
    write_still(target, Still(picture), variants[0].settings.write)


def preview_film(
    source: Source,
    target: VideoTarget,
    variants: Sequence[Variant],
    wanted: PreviewSettings,
    progress: Progress,
    *,
    reporter: Reporter | None = None,
    cancel: CancelToken | None = None,
) -> None:
    """Write a short clip in whose cells each variant moves; raises as :func:`preview_sheet`."""
    settings = variants[0].settings
    first = moments_of(source, settings, replace(wanted, moments=1))[0]
    read = _read(settings, wanted, float(first.time), duration=wanted.seconds)
    sessions = Sessions(reporter, moving=True)
    with open_reader(source, read) as reader:
        frames = [replace(f, pts=f.pts + _ticks(first.time, f)) for f in reader]
        info = reader.info
    layout = _layout([first], variants, wanted, with_source=True)
    films = [[_shown(frame, layout) for frame in frames]]
    counted = _counter(len(frames) * len(variants), progress, cancel)
    for variant in variants:
        films.append([])
        with sessions.open(variant.settings, source) as session:
            for index, frame in enumerate(frames):
                films[-1].append(_shown(session.push(replace(frame, index=index)), layout))
                counted()
    sheet, (width, height) = draw_labels(layout), layout.size
    made = VideoInfo(width=width, height=height, rate=info.rate, time_base=info.time_base)
    with closing(open_encoder(target, made, settings.write)) as encoder:
        for index, frame in enumerate(frames):
            cells = {(0, column): film[index] for column, film in enumerate(films)}
            picture = put(sheet, layout, cells)
            pts = frame.pts - frames[0].pts
            encoder.write(Frame(picture, index, pts, frame.time_base, frame.duration))
        encoder.finish()


def _counter(total: int, progress: Progress, cancel: CancelToken | None) -> Callable[[], None]:
    """Return what is called after each dream: it reports it, and stops if that is asked for."""
    done = count(1)

    def counted() -> None:
        progress(next(done), total)
        if cancel is not None:
            cancel.check()

    return counted


def _ticks(time: Fraction, frame: Frame) -> int:
    return round(time / frame.time_base)


def _shown(frame: Frame, layout: Layout) -> Picture:
    return scaled(to_eight_bits(frame.image), layout.cell)


def _layout(
    frames: Sequence[Frame],
    variants: Sequence[Variant],
    wanted: PreviewSettings,
    *,
    with_source: bool,
) -> Layout:
    width, height = frames[0].width, frames[0].height
    cell = (wanted.cell, max(1, round(wanted.cell * height / width)))
    labels = [*(["source"] if with_source else []), *(variant.label for variant in variants)]
    if len(frames) == 1:
        return Layout(cell, labels, wrap=square_wrap(len(labels), cell))
    return Layout(cell, labels, [_clock(frame.time) for frame in frames])


def _clock(time: Fraction) -> str:
    """Return a time as M:SS.s."""
    tenths = round(time * 10)
    return f"{tenths // 600}:{tenths % 600 // 10:02d}.{tenths % 10}"


def _read(
    settings: Settings, wanted: PreviewSettings, start: float, duration: float | None = None
) -> ReadSettings:
    """Return how a part of a clip is read, or one frame, at the size at which it is dreamed."""
    read = settings.read
    is_sized = read.width is not None or read.height is not None or read.max_side is not None
    side = read.max_side if is_sized else wanted.max_side
    fps = min(read.fps or _MOST_FPS, _MOST_FPS) if duration else None
    return ReadSettings(
        start=start,
        width=read.width,
        height=read.height,
        max_side=side,
        fps=fps,
        frames=None if duration else 1,
        duration=duration,
    )


def moments_of(source: Source, settings: Settings, wanted: PreviewSettings) -> list[Frame]:
    """Return the frames of a clip that are shown, numbered from 0, at their times in it.

    Raises:
        InputError: it can be read only once, or ends before a moment.
    """
    if source.is_live:
        raise InputError("a preview looks at several moments: give a file, and no pipe or camera")
    if source.is_picture:
        read = replace(_read(settings, wanted, 0.0), start=None)
        return [Frame(read_picture(source, read, settings.dream.seed).image)]
    times = wanted.at or tuple(_spread(source, settings, wanted.moments))
    frames = []
    for index, time in enumerate(times):
        with open_reader(source, _read(settings, wanted, time)) as reader:
            frame = next(iter(reader))
        exact = Fraction(time).limit_denominator(1_000_000) + frame.time
        frames.append(Frame(frame.image, index, round(exact * 1_000_000), Fraction(1, 1_000_000)))
    return frames


def _spread(source: Source, settings: Settings, count: int) -> Iterator[float]:
    """Yield moments in the middle of equal parts of a clip."""
    begin = settings.read.start or 0.0
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(source, replace(settings.read, frames=None)))
        info = reader.info
        length = float(info.frames / info.rate) if info.frames and info.rate else 0.0
        if not length:  # it does not say
            first, last = None, Fraction(0)
            for frame in reader:
                first = frame.time if first is None else first
                last = frame.time - first
            length = float(last)
    for part in range(count):
        yield begin + length * (part + 0.5) / count
