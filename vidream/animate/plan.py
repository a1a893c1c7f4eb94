"""The plan of an animation, made before anything slow is done."""

import math
from dataclasses import dataclass
from fractions import Fraction

from vidream.core.errors import SettingsError
from vidream.core.images import Size
from vidream.core.settings import (
    MOST_ZOOM,
    OCTAVE_RATE,
    ZOOM_RATE,
    ZOOM_SECONDS,
    AnimationSettings,
    PostprocessSettings,
    Settings,
    exact_rate,
)
from vidream.core.view_transform import ViewTransform, covering
from vidream.media.info import Colour, VideoInfo
from vidream.timeline.timeline import Timeline

_LOOP_SECONDS = 1.0  # in which a loop flows into its beginning


@dataclass(frozen=True, slots=True)
class AnimationPlan:
    """The plan of an animation."""

    info: VideoInfo
    frames: int
    sizes: tuple[Size, ...] = ()  # of the octaves, from small to large; none for a zoom
    transforms: tuple[ViewTransform, ...] = ()  # of a zoom, from each frame to the next
    loop: int = 0  # frames at the end in which a zoom returns to its first


def plan_animation(size: Size, timeline: Timeline) -> AnimationPlan:
    """Plan the animation of a still of that size.

    Raises:
        SettingsError: the settings make no animation.
    """
    settings = timeline.settings
    if settings.postprocess != PostprocessSettings():
        raise SettingsError(
            "an animation is shown as it is dreamed: leave out `mask`, `feather`, `strength`, "
            "`keep_edges`, `luma_only` and `match_color`"
        )
    if settings.read.keep_alpha:
        raise SettingsError("an animation has no transparency: leave out `keep_alpha`")
    if settings.read.start is not None or settings.read.end is not None:
        raise SettingsError("a still has no `start` and `end`: set `duration`")
    is_zoom = settings.animation.zooms
    rate = settings.read.fps or (ZOOM_RATE if is_zoom else OCTAVE_RATE)
    exact = exact_rate(rate)
    sizes = () if is_zoom else _octave_sizes(size, settings)
    count = _zoom_length(settings, exact) if is_zoom else _octaves_length(settings, len(sizes))
    count = min(count, settings.read.frames or count)
    srgb = Colour(range=2, primaries=1, transfer=13, matrix=Colour.RGB)
    info = VideoInfo(
        width=size[1], height=size[0], rate=exact, time_base=1 / exact, frames=count, colour=srgb
    )
    if not is_zoom:
        return AnimationPlan(info, count, sizes)
    times = (number / exact for number in range(1, count + 1))
    transforms = tuple(_transform(timeline.at(time).animation, size) for time in times)
    loop = _loop_frames(exact) if settings.animation.loop else 0
    return AnimationPlan(info, count, transforms=transforms, loop=loop)


def _transform(animation: AnimationSettings, size: Size) -> ViewTransform:
    turn = animation.rotate or 0.0
    # To cover the corners: reflections of reflections there would grow into streaks.
    least = math.ceil(1e4 * covering(turn, size)) / 1e4
    if animation.zoom is None and least > MOST_ZOOM:
        raise SettingsError(
            f"turned by {turn:g}° a picture of this shape would have to grow by {least:g} "
            f"to cover its corners, and {MOST_ZOOM:g} is the most: set a smaller `rotate`"
        )
    if animation.zoom is not None and animation.zoom < least:
        raise SettingsError(
            f"turned by {turn:g}° a picture of this shape does not cover its corners unless "
            f"`zoom` is {least:g} or more: set that, or a smaller `rotate`"
        )
    return ViewTransform(least if animation.zoom is None else animation.zoom, turn)


def _octave_sizes(size: Size, settings: Settings) -> tuple[Size, ...]:
    count, first = settings.dream.octaves, settings.animation.first_octave
    first = -(count // 2) if first is None else first
    scales = (settings.dream.octave_scale**n for n in range(first, first + count))
    return tuple((max(1, round(size[0] * s)), max(1, round(size[1] * s))) for s in scales)


def _octaves_length(settings: Settings, octaves: int) -> int:
    steps, every = settings.dream.steps, settings.animation.every
    if settings.time.names:
        raise SettingsError(
            "an animation of octaves has no settings that change over time: leave out `key` and "
            "`audio_reactive`, or set `zoom`"
        )
    if settings.effect != "dream":
        raise SettingsError(
            f"effect {settings.effect} has no octaves to animate: set `zoom`, or leave it out"
        )
    if settings.read.duration is not None:
        raise SettingsError(
            "an animation of octaves is as long as it has pictures: leave out `duration`; "
            "`every` and `fps` set how many there are and how long they show"
        )
    if steps == 0:
        raise SettingsError("an animation of octaves without steps shows nothing: set `steps`")
    return octaves if every is None else octaves * math.ceil(steps / every) + 1


def _zoom_length(settings: Settings, rate: Fraction) -> int:
    read = settings.read
    seconds = ZOOM_SECONDS if read.duration is None else read.duration
    count = max(1, round(seconds * rate))
    if read.frames is not None:
        count = read.frames if read.duration is None else min(count, read.frames)
    least = 2 * _loop_frames(rate)
    if settings.animation.loop and count < least:
        raise SettingsError(
            f"a loop of {count} frames is too short, for its last second flows into its "
            f"beginning: set `duration` to 2 or more ({least} frames)"
        )
    return count


def _loop_frames(rate: Fraction) -> int:
    return max(2, round(_LOOP_SECONDS * rate))
