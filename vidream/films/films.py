"""Films made from a still: its dream growing octave by octave, or an endless zoom into it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from itertools import islice
from typing import Any

from torch import Tensor

from vidream.dreamer import Dreamer, choose_device, draw_views
from vidream.errors import NetworkError, SettingsError
from vidream.films.noise import is_noise, make_noise
from vidream.films.zoom import zoom
from vidream.frames import Frame, Picture, to_picture, to_tensor
from vidream.images import Camera, Size, covering, resize
from vidream.media import Colour, Place, VideoInfo
from vidream.presets import CLASS, DEFAULT, OCTAVE_FILM, preset_settings
from vidream.processors import DreamProcessor, Processor, load_processor, tuned
from vidream.settings import (
    MOST_ZOOM,
    OCTAVE_RATE,
    ZOOM_RATE,
    ZOOM_SECONDS,
    FilmSettings,
    Settings,
    TimeSettings,
)
from vidream.stills import Still, is_still, read_still
from vidream.temporal import Memo, Start
from vidream.timeline import Timeline, open_timeline

OnStep = Callable[[int, int], None]
"""Called with how many pixels have taken a gradient step so far, and how many will in all.

Pixels and not steps, for it is they that take time.
"""

_SRGB = Colour(range=2, primaries=1, transfer=13, matrix=Colour.RGB)  # what pictures are in
_RETURN = 1.0  # seconds in which a loop flows into its beginning


def is_pictured(source: Place) -> bool:
    """Whether a source is a single picture: a file, or noise."""
    return is_still(source) or is_noise(source)


def read_picture(source: Place, settings: Settings) -> Still:
    """Read a picture, or make it of noise.

    Raises:
        InputError: there is none.
    """
    if is_noise(source):
        return make_noise(source, settings.read, settings.dream.seed)
    return read_still(source, settings.read)


def makes_film(source: Place, target: Place, film: FilmSettings) -> bool:
    """Whether a film is to be made of a still.

    It is where the target can only be moving, and otherwise (``.webp``) if it is asked for.

    Raises:
        SettingsError: a film of a still is asked for, and the source is a video.
    """
    if is_pictured(source):
        return film.asked or not is_still(target)
    if film.asked:
        given = ", ".join(
            f"--{setting.name.replace('_', '-')}"
            for setting in fields(film)
            if getattr(film, setting.name) != setting.default
        )
        name = "the pipe" if not isinstance(source, (str, os.PathLike)) else os.fspath(source)
        raise SettingsError(
            f"{given} (or its preset) makes a film of a still, and {name} is no picture: give a "
            "JPEG, PNG, WebP or noise:640x360, or leave it out"
        )
    return False


def usual_preset(source: Place, target: Place, **values: Any) -> str:
    """Name the preset of who asks for none: a film of octaves has one of its own, and a class.

    Args:
        source: what is dreamed.
        target: what it becomes.
        **values: settings that are given.

    Raises:
        SettingsError: a value of a film's settings is out of range, or they do not go together.
    """
    names = {setting.name for setting in fields(FilmSettings)}
    times = {setting.name for setting in fields(TimeSettings)}
    film = FilmSettings(**{name: values[name] for name in names & set(values)})
    moving = TimeSettings(**{name: values[name] for name in times & set(values)}).names
    if moving & {"zoom", "rotate"}:
        film = replace(film, zoom=film.zoom or 1.0)
    of_octaves = is_pictured(source) and not film.zooms and makes_film(source, target, film)
    if of_octaves:
        return OCTAVE_FILM
    return CLASS if values.get("classes") else DEFAULT


@dataclass(frozen=True, slots=True)
class Plan:
    """What film becomes of a still.

    Args:
        info: its size, rate and number of frames.
        sizes: of the octaves, from small to large; none for a zoom.
        moves: how a zoom moves from each frame to the next; none for octaves.
    """

    info: VideoInfo
    sizes: tuple[Size, ...] = ()
    moves: tuple[Camera, ...] = ()

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.info.frames or 0

    @property
    def rate(self) -> Fraction:
        """Frames a second."""
        return 1 / self.info.time_base

    def frame(self, image: Tensor, index: int) -> Frame:
        """Make a frame of an image, ``[1, 3, H, W]`` in [0, 1]."""
        return Frame(to_picture(image), index, index, self.info.time_base, 1)


def plan_film(picture: Picture, settings: Settings, timeline: Timeline | None = None) -> Plan:
    """Find out what the settings make of a still, before anything slow is done.

    Args:
        picture: the still, uint8 ``[H, W, 3]``.
        settings: of the film, its octaves and its rate.
        timeline: of what changes in them; by default nothing does.

    Raises:
        SettingsError: they make no film.
    """
    read = settings.read
    if read.start is not None or read.end is not None:
        raise SettingsError("a still has no start and end: say with duration how long the film is")
    size: Size = (picture.shape[0], picture.shape[1])
    zooms = settings.film.zooms
    rate = Fraction(read.fps or (ZOOM_RATE if zooms else OCTAVE_RATE)).limit_denominator(1001)
    sizes = () if zooms else _octave_sizes(size, settings)
    count = _zoom_length(settings, rate) if zooms else _octave_length(settings, len(sizes))
    info = VideoInfo(
        width=size[1],
        height=size[0],
        rate=rate,
        time_base=1 / rate,
        frames=min(count, read.frames or count),
        colour=_SRGB,
    )
    if not zooms:
        return Plan(info, sizes)
    timeline = timeline or Timeline(settings)
    moments = (number / rate for number in range(1, (info.frames or 0) + 1))
    return Plan(info, moves=tuple(_camera(timeline.at(time).film, size) for time in moments))


def _camera(film: FilmSettings, size: Size) -> Camera:
    """Give the camera of a zoom.

    What came into the picture from outside would have to be made up, a few pixels with each frame:
    reflections of reflections, which grow into streaks that no dream covers.
    """
    turn = film.rotate or 0.0
    least = math.ceil(1e4 * covering(turn, size)) / 1e4
    if film.zoom is None and least > MOST_ZOOM:
        raise SettingsError(
            f"turned by {turn:g}° a picture of this shape would have to grow by {least:g} "
            f"to cover its corners, and {MOST_ZOOM:g} is the most: give a smaller rotate"
        )
    if film.zoom is not None and film.zoom < least:
        raise SettingsError(
            f"turned by {turn:g}° a picture of this shape does not cover its corners unless "
            f"zoom is {least:g} or more: give that, or a smaller rotate"
        )
    return Camera(least if film.zoom is None else film.zoom, turn)


def _octave_sizes(size: Size, settings: Settings) -> tuple[Size, ...]:
    """Give the sizes of the octaves: the still's own times ``octave_scale`` to the power n."""
    count, first = settings.dream.octaves, settings.film.first_octave
    first = -(count // 2) if first is None else first
    scales = (settings.dream.octave_scale**n for n in range(first, first + count))
    return tuple((max(1, round(size[0] * s)), max(1, round(size[1] * s))) for s in scales)


def _octave_length(settings: Settings, octaves: int) -> int:
    steps, every = settings.dream.steps, settings.film.every
    if settings.time.names:
        raise SettingsError(
            "a film of octaves has no settings that change over time: leave key, keys and "
            "audio-reactive out, or give zoom"
        )
    if settings.effect != "dream":
        raise SettingsError(
            f"effect {settings.effect} has no octaves to make a film of: give zoom, or leave it out"
        )
    if settings.read.duration is not None:
        raise SettingsError(
            "a film of octaves is as long as it has pictures: leave duration out, and say with "
            "every and fps how many there are and how long they show"
        )
    if steps == 0:
        raise SettingsError("a film of octaves without steps shows nothing: give steps")
    return octaves if every is None else octaves * math.ceil(steps / every) + 1


def _zoom_length(settings: Settings, rate: Fraction) -> int:
    read = settings.read
    seconds = ZOOM_SECONDS if read.duration is None else read.duration
    count = max(1, round(seconds * rate))
    if read.frames is not None:
        count = read.frames if read.duration is None else min(count, read.frames)
    if settings.film.loop and count < 2 * _return_frames(rate):
        raise SettingsError(
            f"a loop of {count} frames is too short, for its last second flows into its "
            f"beginning: give duration 2 or more ({2 * _return_frames(rate)} frames)"
        )
    return count


def _return_frames(rate: Fraction) -> int:
    return max(2, round(_RETURN * rate))


def film_frames(
    picture: Picture,
    settings: Settings | None = None,
    *,
    processor: Processor | None = None,
    on_step: OnStep | None = None,
    timeline: Timeline | None = None,
) -> Iterator[Frame]:
    """Make a film of a still, frame by frame, for a pipeline of one's own.

    Args:
        picture: the still, uint8 ``[H, W, 3]`` RGB.
        settings: what film; by default the preset ``octave-film``.
        processor: what dreams, instead of the effect that ``settings`` name. Octaves want a
            :class:`~vidream.processors.DreamProcessor`.
        on_step: called after each gradient step of a film of octaves.
        timeline: of what changes in the settings; by default as they say.

    Returns:
        Frames as they are made, at the rate of :func:`plan_film`.

    Raises:
        VidreamError: the settings make no film, or whatever the processor raises.
    """
    settings = settings or preset_settings(OCTAVE_FILM)
    timeline = timeline or open_timeline(settings)
    settings = timeline.settings
    plan = plan_film(picture, settings, timeline)
    processor = processor or load_processor(
        settings.effect,
        settings.film.deepened(settings.dream),
        style=settings.style,
        examples=settings.examples,
    )
    if plan.moves:
        back = _return_frames(plan.rate) if settings.film.loop else 0
        device = choose_device(settings.dream.device) if processor.recurrent else "cpu"
        if timeline.names:
            processor = _Changing(processor, timeline, plan.rate)
        images = zoom(to_tensor(picture, device), processor, plan.moves, plan.frames, back)
    else:
        if not isinstance(processor, DreamProcessor):
            raise SettingsError("a film of octaves wants the dreamer, and not another effect")
        images = grow(picture, processor.dreamer, settings.film, plan.sizes, on_step)
    return (plan.frame(image, index) for index, image in enumerate(islice(images, plan.frames)))


@dataclass(frozen=True, slots=True)
class _Changing:
    """A processor whose settings are those of the moment, in a zoom of so many frames a second."""

    processor: Processor
    timeline: Timeline
    rate: Fraction

    @property
    def recurrent(self) -> bool:
        return self.processor.recurrent

    def process(self, start: Start, source: Tensor, index: int) -> tuple[Tensor, Memo]:
        now = self.timeline.at(index / self.rate)
        now = replace(now, dream=now.film.deepened(now.dream))
        return tuned(self.processor, now).process(start, source, index)


def grow(
    picture: Picture,
    dreamer: Dreamer,
    film: FilmSettings,
    sizes: tuple[Size, ...],
    on_step: OnStep | None = None,
) -> Iterator[Tensor]:
    """Dream a still octave by octave, each from a blend of the one before and the still.

    Unlike :meth:`Dreamer.dream`, whose octaves carry the detail alone, this is the way of the
    article, after TensorFlow's DeepDream tutorial: the dream itself is resampled, also to sizes
    beyond the still's own.

    Args:
        picture: the still, uint8 ``[H, W, 3]``.
        dreamer: whose settings say how many steps each octave has.
        film: blend, and how often a picture is shown.
        sizes: of the octaves.
        on_step: called after each step.

    Yields:
        Float32 ``[1, 3, H, W]`` in [0, 1], of the still's size.

    Raises:
        NetworkError: the smallest octave is too small for the network.
    """
    still = to_tensor(picture, dreamer.device)
    full: Size = (still.shape[-2], still.shape[-1])
    least = dreamer.network.minimum_side
    if min(sizes[0]) < least:
        raise NetworkError(
            f"the smallest octave, {sizes[0][1]}×{sizes[0][0]}, is too small for the network, "
            f"which takes {least} pixels a side: give a larger picture, or a larger first-octave"
        )
    steps, every = dreamer.settings.steps, film.every
    done, total = 0, steps * sum(height * width for height, width in sizes)
    if every is not None:
        yield still
    dream = None
    for octave, size in enumerate(sizes):
        ground = resize(still, size)
        dream = ground if dream is None else ground.lerp(resize(dream, size), film.blend)
        views = draw_views(dreamer.settings, octave, steps)
        for step, view in enumerate(views, 1):
            dream = dreamer.ascend(dream, [view], beside=ground)
            done += size[0] * size[1]
            if on_step is not None:
                on_step(done, total)
            if step == steps or (every is not None and step % every == 0):
                yield resize(dream, full)
