"""Numbers that change with time, as keys that they come by."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Self

from vidream.errors import SettingsError
from vidream.settings.terms import parse_time

EASES: dict[str, Callable[[float], float]] = {
    "smooth": lambda way: way * way * (3 - 2 * way),
    "linear": lambda way: way,
    "hold": lambda _: 0.0,
}
"""Ways from a key to the next: share of the time between them → share of the change."""


@dataclass(frozen=True, slots=True)
class Key:
    """A moment, and what a number is then.

    Args:
        time: in seconds.
        value: finite.
        ease: how it goes on to the next key: ``"smooth"`` (slowly off, slowly in), ``"linear"``,
            or ``"hold"``, which stays until that key and jumps.
    """

    time: float
    value: float
    ease: str = "smooth"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``5s=1``, ``1:30=0.4 linear``.

        Raises:
            SettingsError: the text is not of that form.
        """
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
        return f"{_plain(self.time)}s={_plain(self.value)}{ease}"


@dataclass(frozen=True, slots=True)
class Curve:
    """A number over time. Pure: called with a time in seconds, it gives the value.

    Between two keys it never leaves what lies between their values; before the first and after
    the last it is theirs.

    Args:
        keys: at least one, in the order of their times, which differ.

    Raises:
        SettingsError: there is none, or two are of the same time.
    """

    keys: tuple[Key, ...]

    def __post_init__(self) -> None:
        """Put the keys into their order."""
        keys = tuple(sorted(self.keys, key=lambda key: key.time))
        if not keys:
            raise SettingsError("there is no key: write TIME=VALUE, as in 0s=0.2, 5s=1")
        for key, following in pairwise(keys):
            if key.time == following.time:
                raise SettingsError(f"two keys are of the same time, {_plain(key.time)}s: give one")
        object.__setattr__(self, "keys", keys)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``0s=0.2, 5s=1 linear, 10s=0.3``.

        Raises:
            SettingsError: the text is not of that form.
        """
        return cls(tuple(Key.parse(part) for part in text.split(",") if part.strip()))

    def __call__(self, time: float | Fraction) -> float:
        """Give the value at a time, in seconds."""
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
        """The values of the keys, between which all others lie."""
        return tuple(key.value for key in self.keys)

    def __str__(self) -> str:
        return ", ".join(str(key) for key in self.keys)


def _plain(number: float) -> str:
    """Write a number so that it is read back as the same."""
    text = format(Decimal(repr(float(number))), "f")
    return text.removesuffix(".0")
