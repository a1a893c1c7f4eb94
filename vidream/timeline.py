"""The settings of each moment: what is set, with what keys and sound make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from vidream.errors import InputError, naming
from vidream.frames import Frame
from vidream.media import Place
from vidream.settings import Reaction, Settings, checked
from vidream.sound import Sound, hear

Course = Callable[[Fraction], float]
"""A number over time: seconds since the clip began → value."""


class Clock:
    """Tells the time since a clip began.

    A reader's cut begins at 0; without one, times are the clip's own, from wherever it likes.

    Args:
        start: where in the clip its first frame lies, in seconds; None without a cut.
        begin: when the first frame of the clip shows, in seconds, where that is not the first one
            that is asked for.
    """

    def __init__(self, start: float | None = None, begin: Fraction | None = None) -> None:
        self._start = None if start is None else Fraction(start)
        self._first = begin

    def __call__(self, frame: Frame) -> Fraction:
        """Give the time of a frame, in seconds."""
        if self._start is not None:
            return frame.time + self._start
        if self._first is None:
            self._first = frame.time
        return frame.time - self._first


class Timeline:
    """Settings over time. Pure, but for what it remembers of the last moment.

    Args:
        settings: what is set.
        courses: of the settings that change, by their names.

    Attributes:
        settings: those by which everything is decided that is decided once: each that changes
            has the value of its course that is farthest from 0.
        names: of the settings that change.
    """

    def __init__(self, settings: Settings, courses: Mapping[str, Course] | None = None) -> None:
        self.settings = settings
        self._courses = dict(courses or {})
        self._now: tuple[dict[str, float], Settings] = ({}, settings)

    @property
    def names(self) -> frozenset[str]:
        """The settings that change."""
        return frozenset(self._courses)

    def at(self, time: Fraction) -> Settings:
        """Give the settings of a time, in seconds since the clip began."""
        values = {name: checked(name, course(time)) for name, course in self._courses.items()}
        if values != self._now[0]:
            self._now = values, self.settings.updated(**values)
        return self._now[1]


def peaked(settings: Settings) -> Settings:
    """Give settings in which each that changes has its value that is farthest from 0.

    What is zoomed or carried at any time is zoomed or carried.

    Raises:
        SettingsError: a setting follows sound without a range, and is not set.
    """
    time = settings.time
    ends = {term.setting: term.curve.values for term in time.curves}
    ends |= {term.setting: _range(term, settings) for term in time.audio_reactive}
    if not ends:
        return settings
    return settings.updated(
        **{name: checked(name, max(values, key=abs)) for name, values in ends.items()}
    )


def open_timeline(settings: Settings, source: Place | None = None) -> Timeline:
    """Make the timeline of settings, and listen to what they follow.

    Args:
        settings: as given, with what changes them.
        source: the clip, whose sound is followed unless there is another.

    Raises:
        InputError: there is no sound to follow.
        SettingsError: a setting follows sound without a range, and is not set.
    """
    time = settings.time
    base = peaked(settings)
    courses: dict[str, Course] = {term.setting: term.curve for term in time.curves}
    if time.audio_reactive:
        sound = _hear(settings.read.audio, source)
        for term in time.audio_reactive:
            courses[term.setting] = _following(sound, term.band, *_range(term, settings))
    return Timeline(base, courses)


def _hear(audio: str | None, source: Place | None) -> Sound:
    place = source if audio is None else audio
    if place is None:
        raise InputError("there is no sound to follow: give some with --audio FILE")
    with naming("audio-reactive"):
        return hear(place)


def _following(sound: Sound, band: str, low: float, high: float) -> Course:
    """Give the course of a setting that is ``low`` in silence and ``high`` where it is loud."""
    least, most = sorted((low, high))

    def course(time: Fraction) -> float:
        share = sound.at(band, time)
        return min(max((1 - share) * low + share * high, least), most)

    return course


def _range(term: Reaction, settings: Settings) -> tuple[float, float]:
    parts = (settings.dream, settings.style, settings.finish, settings.film)
    values = [getattr(part, term.setting) for part in parts if hasattr(part, term.setting)]
    return term.between(values[0])
