"""Settings over time: keyframes, and settings bound to sound."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction

from vidream.core.errors import InputError, prefix_errors
from vidream.core.frames import Frame
from vidream.core.settings import AudioBinding, DreamSettings, Settings, checked
from vidream.media.places import Place, Source
from vidream.timeline.audio import AudioEnvelope, analyze


class Clock:
    """Returns the time of a frame since its clip began.

    Args:
        start: seconds into the clip at which its frames' times are 0; None for all of it, whose
            times begin anywhere.
        begin: time of its first frame, in seconds; None if that is the first asked for.
    """

    def __init__(self, start: float | None = None, begin: Fraction | None = None) -> None:
        self._start = None if start is None else Fraction(start)
        self._begin = begin

    def __call__(self, frame: Frame) -> Fraction:
        """Return the time of a frame, in seconds."""
        if self._start is not None:
            return frame.time + self._start
        if self._begin is None:
            self._begin = frame.time
        return frame.time - self._begin


class Timeline:
    """Settings over time.

    Args:
        settings: for what is decided once: those of :func:`at_peak`.
        curves: by the names of settings: seconds since the clip began → value.
    """

    def __init__(
        self, settings: Settings, curves: Mapping[str, Callable[[Fraction], float]] | None = None
    ) -> None:
        self.settings = settings
        self._curves = dict(curves or {})
        self._cached: tuple[dict[str, float], Settings] = ({}, settings)

    @property
    def names(self) -> frozenset[str]:
        """The settings that change."""
        return frozenset(self._curves)

    def with_dream(self, dream: DreamSettings) -> "Timeline":
        """Return the timeline of other dream settings, with the same curves."""
        return Timeline(replace(self.settings, dream=dream), self._curves)

    def at(self, time: Fraction) -> Settings:
        """Return the settings at a time, in seconds since the clip began."""
        values = {name: checked(name, curve(time)) for name, curve in self._curves.items()}
        if values != self._cached[0]:
            self._cached = values, self.settings.updated(**values)
        return self._cached[1]


def at_peak(settings: Settings) -> Settings:
    """Return settings in which each that changes has its value farthest from 0.

    Raises:
        SettingsError: a setting is bound to sound without a range, and is not set.
    """
    time = settings.time
    ends = {term.setting: term.curve.values for term in time.keys}
    ends |= {term.setting: _range(term, settings) for term in time.audio_reactive}
    if not ends:
        return settings
    return settings.updated(
        **{name: checked(name, max(values, key=abs)) for name, values in ends.items()}
    )


def open_timeline(settings: Settings, source: Place | Source | None = None) -> Timeline:
    """Return the timeline of settings, with the sound analyzed that they are bound to.

    The source's sound is taken unless the settings name another.

    Raises:
        InputError: there is no sound.
        SettingsError: a setting is bound to sound without a range, and is not set.
    """
    time = settings.time
    peak = at_peak(settings)
    curves: dict[str, Callable[[Fraction], float]] = {}
    curves |= {term.setting: term.curve for term in time.keys}
    if time.audio_reactive:
        place = source if settings.read.audio is None else settings.read.audio
        if place is None:
            raise InputError("there is no sound to follow: give some with `audio`")
        with prefix_errors("audio-reactive"):
            envelope = analyze(place)
        for term in time.audio_reactive:
            curves[term.setting] = _bound(envelope, term.band, *_range(term, settings))
    return Timeline(peak, curves)


def _bound(
    envelope: AudioEnvelope, band: str, low: float, high: float
) -> Callable[[Fraction], float]:
    """Return the curve of a setting that is ``low`` in silence and ``high`` where it is loud."""
    least, most = sorted((low, high))

    def curve(time: Fraction) -> float:
        loudness = envelope.at(band, time)
        return min(max((1 - loudness) * low + loudness * high, least), most)

    return curve


def _range(term: AudioBinding, settings: Settings) -> tuple[float, float]:
    return term.between(settings.value(term.setting))
