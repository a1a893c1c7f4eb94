"""Which settings change with time: by keys, or with what is heard."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any, Self

from vidream.errors import SettingsError, unknown
from vidream.settings.curves import Curve, Key
from vidream.settings.dream import DreamSettings
from vidream.settings.film import FilmSettings
from vidream.settings.finish import FinishSettings
from vidream.settings.options import Validated, option, option_of
from vidream.settings.style import StyleSettings

BANDS: Mapping[str, tuple[float, float]] = {
    "bass": (20, 250),
    "mid": (250, 4000),
    "treble": (4000, 16000),
    "all": (20, 16000),
}
"""What can be heard for itself, from how many Hz to how many."""


def _changeable() -> dict[str, tuple[type, Field[Any]]]:
    """Give the settings that may change from frame to frame, and the part of each."""
    parts = (DreamSettings, StyleSettings, FinishSettings, FilmSettings)
    return {
        setting.name: (part, setting)
        for part in parts
        for setting in fields(part)
        if "option" in setting.metadata and option_of(setting).over_time
    }


CHANGEABLE = _changeable()
"""Settings that may change from frame to frame, by name: the part each belongs to, its field."""


def setting_named(text: str) -> str:
    """Read the name of a setting that may change with time: ``step-size``.

    Raises:
        SettingsError: there is none of that name, or it is one that may not.
    """
    name = text.strip().removeprefix("--").replace("-", "_")
    if name in CHANGEABLE:
        return name
    names = sorted(changeable.replace("_", "-") for changeable in CHANGEABLE)
    hint = f"Those that can change with time are {', '.join(names)}."
    raise SettingsError(unknown("setting over time", name.replace("_", "-"), names, hint))


def checked(name: str, value: float) -> float | int:
    """Give a value as the setting of that name takes it: whole numbers are rounded.

    Raises:
        SettingsError: it is out of the setting's range.
    """
    part, setting = CHANGEABLE[name]
    fitting = math.floor(value + 0.5) if "int" in str(setting.type) else value
    part(**{name: fitting})
    return fitting


@dataclass(frozen=True, slots=True)
class KeyTerm:
    """A setting, and its curve over time. Written ``strength: 0s=0.2, 5s=1, 10s=0.3``."""

    setting: str
    curve: Curve

    def __post_init__(self) -> None:
        """Check every key's value; what lies between them is within the range then."""
        for value in self.curve.values:
            checked(self.setting, value)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``strength: 0s=0.2, 5s=1 linear, 10s=0.3``.

        Raises:
            SettingsError: the text is not of that form, the setting is none that may change, or
                a value is out of its range.
        """
        name, colon, keys = text.partition(":")
        if not colon or "=" in name:
            raise SettingsError(
                f"{text!r} does not say which setting: write SETTING: TIME=VALUE, ... as in "
                "strength: 0s=0.2, 5s=1, 10s=0.3"
            )
        return cls(setting_named(name), Curve.parse(keys))

    def __str__(self) -> str:
        return f"{self.setting.replace('_', '-')}: {self.curve}"


def read_keys(path: str) -> tuple[KeyTerm, ...]:
    """Read a TOML file of settings over time.

    Each is a line as on the command line, or a table of times and values::

        strength = "0s=0.2, 5s=1 linear, 10s=0.3"
        [zoom]
        "0s" = 1.01
        "1:30" = "1.05 hold"

    Raises:
        SettingsError: there is no such file, or it says something else.
    """
    try:
        content = tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path} ({error.strerror}): check the name") from error
    except ValueError as error:
        raise SettingsError(f"{path} is no TOML file: {error}") from error
    try:
        return tuple(KeyTerm(setting_named(n), _curve_in(n, v)) for n, v in content.items())
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def _curve_in(name: str, value: Any) -> Curve:
    """Read a line, or a table of times and values."""
    if isinstance(value, str):
        return Curve.parse(value)
    if isinstance(value, Mapping) and all(isinstance(v, (int, float, str)) for v in value.values()):
        return Curve(tuple(Key.parse(f"{time}={at}") for time, at in value.items()))
    raise SettingsError(
        f'{name} wants keys: "0s=0.2, 5s=1", or a table with lines like "5s" = 1, times in quotes'
    )


@dataclass(frozen=True, slots=True)
class Reaction:
    """A setting that follows a band of sound. Written ``step-size=bass:0.005..0.02``.

    Args:
        setting: its name.
        band: one of :data:`BANDS`.
        low: value in silence; None for half of what the setting is set to.
        high: value where the band is loud; None for twice of it.
    """

    setting: str
    band: str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        """Check the band, and both ends of the range."""
        if self.band not in BANDS:
            raise SettingsError(f"{self.band!r} is no band: they are {', '.join(BANDS)}")
        for value in (self.low, self.high):
            if value is not None:
                checked(self.setting, value)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``strength=bass`` or ``step-size=bass:0.005..0.02``.

        Raises:
            SettingsError: the text is not of that form, or the range is beyond the setting's.
        """
        number = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
        match = re.fullmatch(
            rf"\s*([\w-]+)\s*=\s*(\w+)\s*(?::\s*({number})\s*\.\.\s*({number})\s*)?", text
        )
        if match is None:
            raise SettingsError(
                f"{text!r} does not say what follows what: write SETTING=BAND or "
                "SETTING=BAND:LOW..HIGH, as in strength=bass or step-size=bass:0.005..0.02"
            )
        name, band, low, high = match.groups()
        ends = () if low is None else (float(low), float(high))
        return cls(setting_named(name), band, *ends)

    def between(self, value: float | None) -> tuple[float, float]:
        """Give the range, for a setting that is set to ``value``.

        Half and twice are counted from where the setting does nothing: 1 for a zoom, else 0.

        Raises:
            SettingsError: there is nothing to take the half and twice of.
        """
        if self.low is not None and self.high is not None:
            return self.low, self.high
        name = self.setting.replace("_", "-")
        bounds = option_of(CHANGEABLE[self.setting][1])
        least = max(0.0, bounds.minimum or 0.0)
        if value is None or value == least:
            raise SettingsError(
                f"{name} is not set, so its range is to be given: {name}={self.band}:LOW..HIGH"
            )
        most = math.inf if bounds.maximum is None else bounds.maximum
        return least + (value - least) / 2, min(least + 2 * (value - least), most)

    def __str__(self) -> str:
        ends = "" if self.low is None else f":{self.low!r}..{self.high!r}"
        return f"{self.setting.replace('_', '-')}={self.band}{ends}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSettings(Validated):
    """Which settings change with time. Times are the clip's own, as those of ``start``."""

    key: tuple[KeyTerm, ...] = option(
        (),
        "Change a setting over time, as in 'strength: 0s=0.2, 5s=1, 10s=0.3'; may be repeated. "
        "Times are the clip's, as with start. Smooth between keys; '5s=1 linear' and '5s=1 hold' "
        "go on otherwise from there.",
        metavar="KEYS",
        parse=KeyTerm.parse,
    )
    keys: tuple[KeyTerm, ...] | None = option(
        None,
        'The same from a TOML file, with lines like strength = "0s=0.2, 5s=1".',
        metavar="FILE",
        parse=read_keys,
    )
    audio_reactive: tuple[Reaction, ...] = option(
        (),
        "Let a setting follow the sound: SETTING=BAND, or SETTING=BAND:LOW..HIGH as in "
        "strength=bass:0.3..1.5; may be repeated. Bands: "
        + ", ".join(f"{name} ({low:g}-{high:g} Hz)" for name, (low, high) in BANDS.items())
        + ". Without a range: from half to twice of what it is set to.",
        metavar="TERM",
        parse=Reaction.parse,
    )

    def __post_init__(self) -> None:
        """Check that they go together, and accept terms written as text."""
        if isinstance(self.keys, str):
            object.__setattr__(self, "keys", read_keys(self.keys))
        for name, kind in (("key", KeyTerm), ("audio_reactive", Reaction)):
            given = getattr(self, name)
            given = (given,) if isinstance(given, str) else given
            terms = tuple(kind.parse(t) if isinstance(t, str) else t for t in given)
            object.__setattr__(self, name, terms)
        for names in (_names(self.key), _names(self.keys or ()), self._all()):
            for name in names:
                if names.count(name) > 1:
                    raise SettingsError(
                        f"{name.replace('_', '-')} changes with time twice: put all its keys into "
                        "one term, and give either keys or a band"
                    )

    @property
    def curves(self) -> tuple[KeyTerm, ...]:
        """Keyed settings; one on the command line goes before the file's."""
        own = {term.setting for term in self.key}
        return (*self.key, *(term for term in self.keys or () if term.setting not in own))

    @property
    def names(self) -> frozenset[str]:
        """The settings that change."""
        return frozenset(self._all())

    def _all(self) -> list[str]:
        return _names(self.curves) + _names(self.audio_reactive)


def _names(terms: Sequence[KeyTerm | Reaction]) -> list[str]:
    return [term.setting for term in terms]
