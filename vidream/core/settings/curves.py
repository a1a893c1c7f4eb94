"""Keyframed numbers."""

import math
import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Self

from vidream.core.errors import SettingsError
from vidream.core.settings.terms import parse_time, plain_number

EASES: dict[str, Callable[[float], float]] = {
    "smooth": lambda way: way * way * (3 - 2 * way),
    "linear": lambda way: way,
    "hold": lambda _: 0.0,
}
"""Ways from a key to the next: share of the time between them → share of the change."""


@dataclass(frozen=True, slots=True)
class Key:
    """A keyframe."""

    time: float  # in seconds
    value: float  # finite
    ease: str = "smooth"  # interpolation to the next key: "smooth", "linear", or "hold" (a step)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``5s=1`` or ``1:30=0.4 linear``; raises a SettingsError."""
        time, equals, rest = text.partition("=")
        value, *ease = rest.split() or [""]
        try:
            if not equals or len(ease) > 1 or not math.isfinite(float(value)):
                raise ValueError
        except ValueError:
            raise SettingsError(
                f"{text.strip()!r} is not a key: write TIME=VALUE, as in 5s=1 or 1:30=0.4 linear"
            ) from None
        if ease and ease[0] not in EASES:
            raise SettingsError(f"a key is {', '.join(EASES)}; not {ease[0]!r}")
        return cls(parse_time(re.sub(r"s\s*$", "", time)), float(value), *ease)

    def __str__(self) -> str:
        ease = "" if self.ease == "smooth" else f" {self.ease}"
        return f"{plain_number(self.time)}s={plain_number(self.value)}{ease}"


@dataclass(frozen=True, slots=True)
class Curve:
    """A number over time: call it with a time in seconds.

    Never leaves the range of the two keys around it; constant before the first and after the last.
    """

    keys: tuple[Key, ...]  # at least one, at distinct times; they are sorted

    def __post_init__(self) -> None:
        keys = tuple(sorted(self.keys, key=lambda key: key.time))
        if not keys:
            raise SettingsError("there is no key: write TIME=VALUE, as in 0s=0.2, 5s=1")
        for key, following in pairwise(keys):
            if key.time == following.time:
                raise SettingsError(
                    f"two keys are of the same time, {plain_number(key.time)}s: give one"
                )
        object.__setattr__(self, "keys", keys)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``0s=0.2, 5s=1 linear, 10s=0.3``; raises a SettingsError."""
        return cls(tuple(Key.parse(part) for part in text.split(",") if part.strip()))

    def __call__(self, time: float | Fraction) -> float:
        """Return the value at a time in seconds."""
        at = float(time)
        after = bisect_right(self.keys, at, key=lambda key: key.time)
        if after in (0, len(self.keys)):
            return self.keys[max(0, after - 1)].value
        before, following = self.keys[after - 1], self.keys[after]
        share = EASES[before.ease]((at - before.time) / (following.time - before.time))
        # Of this form, unlike a + s · (b − a), it cannot be rounded to beyond either.
        value = (1 - share) * before.value + share * following.value
        low, high = sorted((before.value, following.value))
        return min(max(value, low), high)

    @property
    def values(self) -> tuple[float, ...]:
        """The values of the keys."""
        return tuple(key.value for key in self.keys)

    def __str__(self) -> str:
        return ", ".join(str(key) for key in self.keys)
