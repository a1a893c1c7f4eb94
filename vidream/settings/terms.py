"""What settings are written as: layers, styles, times, amounts of memory."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Self

from vidream.errors import SettingsError


@dataclass(frozen=True, slots=True)
class LayerTerm:
    """One term of the objective: a layer, or one channel of it, and its weight.

    Written ``NAME``, ``NAME:WEIGHT``, ``NAME#CHANNEL`` or ``NAME#CHANNEL:WEIGHT``.
    """

    layer: str
    weight: float = 1.0
    channel: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``Mixed_6b#42:0.5``.

        Raises:
            SettingsError: the text is not of that form, or the weight is not finite.
        """
        match = re.fullmatch(r"([\w.]+)(?:#(\d+))?(?::([-+.\deE]+))?", text)
        try:
            if match is None:
                raise ValueError
            name, channel, weight = match.groups()
            term = cls(name, float(weight or 1), None if channel is None else int(channel))
            if not math.isfinite(term.weight):
                raise ValueError
        except ValueError:
            raise SettingsError(
                f"{text!r} is not a layer: write NAME, NAME:WEIGHT or NAME#CHANNEL, "
                "as in Mixed_6b#42:0.5"
            ) from None
        return term

    def __str__(self) -> str:
        channel = "" if self.channel is None else f"#{self.channel}"
        return f"{self.layer}{channel}" + (f":{self.weight:g}" if self.weight != 1 else "")


@dataclass(frozen=True, slots=True)
class ClassTerm:
    """A class that a classifier shall see, by its name or number, and its weight.

    Written ``NAME`` or ``NAME:WEIGHT``.
    """

    name: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``tiger cat:0.5``.

        Raises:
            SettingsError: there is no name, or the weight is not finite.
        """
        name, colon, weight = text.partition(":")
        try:
            term = cls(name.strip(), float(weight) if colon else 1.0)
            if not term.name or not math.isfinite(term.weight):
                raise ValueError
        except ValueError:
            raise SettingsError(
                f"{text!r} is not a class: write NAME or NAME:WEIGHT, as in 'tiger cat:0.5'"
            ) from None
        return term

    def __str__(self) -> str:
        return self.name + (f":{self.weight:g}" if self.weight != 1 else "")


@dataclass(frozen=True, slots=True)
class StyleTerm:
    """A picture that a style is taken from, and its weight beside the others'.

    Written ``FILE`` or ``FILE:WEIGHT``; a file whose name ends like a weight needs one.
    """

    path: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``brush.jpg:0.5``.

        Raises:
            SettingsError: there is no name, or the weight is not above 0 and finite.
        """
        match = re.fullmatch(r"(.+?)(?::([-+]?[\d.]+(?:[eE][-+]?\d+)?))?", text)
        try:
            if match is None:
                raise ValueError
            term = cls(match[1], float(match[2] or 1))
            if not 0 < term.weight < math.inf:
                raise ValueError
        except ValueError:
            raise SettingsError(
                f"{text!r} is not a style: write FILE or FILE:WEIGHT with a weight above 0, "
                "as in brush.jpg:0.5"
            ) from None
        return term

    def __str__(self) -> str:
        plain = self.weight == 1 and type(self).parse(self.path).path == self.path
        return self.path if plain else f"{self.path}:{self.weight:g}"


def parse_time(text: str) -> float:
    """Read ``90``, ``1:30`` or ``0:01:30.5`` as seconds.

    Raises:
        SettingsError: the text is not a time.
    """
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)", text.strip())
    if match is None:
        raise SettingsError(f"{text!r} is not a time: write seconds (90.5) or [H:]MM:SS (1:30.5)")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def parse_bytes(text: str) -> int:
    """Read ``4G``, ``800M`` or ``1.5GiB`` as bytes; every unit is 1024 times the one before it.

    Raises:
        SettingsError: the text is not an amount of memory.
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    size = int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " ")) if match else 0
    if size < 1:
        raise SettingsError(f"{text!r} is not an amount of memory: write 4G, 800M or 1.5GiB")
    return size
