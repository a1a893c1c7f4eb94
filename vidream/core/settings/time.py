"""Settings that change over time: keyframes, and bindings to sound."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from vidream.core.errors import SettingsError, unknown
from vidream.core.settings.animation import AnimationSettings
from vidream.core.settings.curves import Curve, Key
from vidream.core.settings.dream import DreamSettings
from vidream.core.settings.options import Setting, Validated, option, settings_of
from vidream.core.settings.postprocess import PostprocessSettings
from vidream.core.settings.style import StyleSettings

BANDS: Mapping[str, tuple[float, float]] = {
    "bass": (20, 250),
    "mid": (250, 4000),
    "treble": (4000, 16000),
    "all": (20, 16000),
}
"""Frequency bands that settings can follow, in Hz."""

LIVE_RATE = 10.0
"""Frames per second of live pictures, by default."""

LIVE_RATES = (0.5, 60.0)
"""The least and the most that may be asked for."""

OVER_TIME: Mapping[str, Setting] = {
    name: setting
    for part in (DreamSettings, StyleSettings, PostprocessSettings, AnimationSettings)
    for name, setting in settings_of(part).items()
    if setting.option.over_time
}
"""Settings that may change from frame to frame, by name."""

_over_time = partial(option, group="Over time")


def _over_time_name(text: str) -> str:
    name = text.strip().removeprefix("--").replace("-", "_")
    if name in OVER_TIME:
        return name
    names = sorted(setting.flag for setting in OVER_TIME.values())
    hint = f"Those that can change over time are {', '.join(names)}."
    raise SettingsError(unknown("setting over time", name.replace("_", "-"), names, hint))


def checked(name: str, value: float) -> float | int:
    """Return a value as a setting over time takes it: integers are rounded, ranges checked."""
    setting = OVER_TIME[name]
    result: float = setting.check(math.floor(value + 0.5) if setting.type is int else value)
    return result


@dataclass(frozen=True, slots=True)
class KeyTerm:
    """A setting and its curve: ``strength: 0s=0.2, 5s=1, 10s=0.3``."""

    setting: str
    curve: Curve

    def __post_init__(self) -> None:
        for value in self.curve.values:
            checked(self.setting, value)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``strength: 0s=0.2, 5s=1 linear, 10s=0.3``; raises a SettingsError."""
        name, colon, keys = text.partition(":")
        if not colon or "=" in name:
            raise SettingsError(
                f"{text!r} does not say which setting: write SETTING: TIME=VALUE, ... as in "
                "strength: 0s=0.2, 5s=1, 10s=0.3"
            )
        return cls(_over_time_name(name), Curve.parse(keys))

    @classmethod
    def of(cls, name: str, keys: Any) -> Self:
        """Return the term of a line of a ``[keys]`` table: ``"0s=0.2, 5s=1"`` or ``{"5s": 1}``."""
        if isinstance(keys, str):
            return cls(_over_time_name(name), Curve.parse(keys))
        if isinstance(keys, Mapping) and all(
            isinstance(v, int | float | str) for v in keys.values()
        ):
            terms = tuple(Key.parse(f"{time}={value}") for time, value in keys.items())
            return cls(_over_time_name(name), Curve(terms))
        raise SettingsError(
            f'{name} wants keys: "0s=0.2, 5s=1", or a table with lines like "5s" = 1, times in '
            "quotes"
        )

    def __str__(self) -> str:
        return f"{self.setting.replace('_', '-')}: {self.curve}"


@dataclass(frozen=True, slots=True)
class AudioBinding:
    """A setting that follows a band of the sound: ``step-size=bass:0.005..0.02``."""

    setting: str  # its name
    band: str  # one of BANDS
    low: float | None = None  # value in silence; None for half of the set value
    high: float | None = None  # value where the band is loud; None for twice the set value

    def __post_init__(self) -> None:
        if self.band not in BANDS:
            raise SettingsError(f"unknown band {self.band!r}: the bands are {', '.join(BANDS)}")
        for value in (self.low, self.high):
            if value is not None:
                checked(self.setting, value)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``strength=bass`` or ``step-size=bass:0.005..0.02``; raises a SettingsError."""
        number = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
        match = re.fullmatch(
            rf"\s*([\w-]+)\s*=\s*(\w+)\s*(?::\s*({number})\s*\.\.\s*({number})\s*)?", text
        )
        if match is None:
            raise SettingsError(
                f"{text!r} is not a binding: write SETTING=BAND or SETTING=BAND:LOW..HIGH, as in "
                "strength=bass or step-size=bass:0.005..0.02"
            )
        name, band, low, high = match.groups()
        ends = () if low is None else (float(low), float(high))
        return cls(_over_time_name(name), band, *ends)

    def between(self, value: float | None) -> tuple[float, float]:
        """Return the range, for a setting that is set to ``value``.

        Half and twice count from the neutral value: 1 for a zoom, else 0.

        Raises:
            SettingsError: the setting is unset or neutral.
        """
        if self.low is not None and self.high is not None:
            return self.low, self.high
        setting = OVER_TIME[self.setting]
        least = max(0.0, setting.option.minimum or 0.0)
        if value is None or value == least:
            raise SettingsError(
                f"`{self.setting}` is not set, so its range is to be given: "
                f"{setting.flag}={self.band}:LOW..HIGH"
            )
        most = math.inf if setting.option.maximum is None else setting.option.maximum
        return least + (value - least) / 2, min(least + 2 * (value - least), most)

    def __str__(self) -> str:
        ends = "" if self.low is None else f":{self.low!r}..{self.high!r}"
        return f"{self.setting.replace('_', '-')}={self.band}{ends}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSettings(Validated):
    """Settings that change over time. Times are those of the clip, as ``start`` is."""

    keys: tuple[KeyTerm, ...] = _over_time(
        (),
        "Keyframe a setting, as in 'strength: 0s=0.2, 5s=1, 10s=0.3'; repeatable.",
        metavar="KEYS",
        flag="key",
        common=True,
    )
    audio_reactive: tuple[AudioBinding, ...] = _over_time(
        (),
        f"Bind a setting to sound: SETTING=BAND[:LOW..HIGH], BAND {', '.join(BANDS)}; repeatable.",
        metavar="BINDING",
        common=True,
    )

    def __post_init__(self) -> None:
        if isinstance(self.keys, Mapping):
            keys = tuple(KeyTerm.of(name, value) for name, value in self.keys.items())
            object.__setattr__(self, "keys", keys)
        Validated.__post_init__(self)
        names = self._names()
        for name in names:
            if names.count(name) > 1:
                raise SettingsError(
                    f"{name.replace('_', '-')} changes over time twice: put all its keys into one "
                    "term, and give either keys or a band"
                )

    @property
    def names(self) -> frozenset[str]:
        """The settings that change."""
        return frozenset(self._names())

    def _names(self) -> list[str]:
        terms: Iterable[KeyTerm | AudioBinding] = (*self.keys, *self.audio_reactive)
        return [term.setting for term in terms]
