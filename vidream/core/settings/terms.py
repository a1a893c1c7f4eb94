"""Values written as text: layers, classes, styles, times, numbers, amounts of memory."""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Self

from vidream.core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class LayerTerm:
    """A layer, or a channel of it, and its weight: ``NAME[#CHANNEL][:WEIGHT]``."""

    layer: str
    weight: float = 1.0
    channel: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``Mixed_6b#42:0.5``; raises a SettingsError."""
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
        weight = "" if self.weight == 1 else f":{plain_number(self.weight)}"
        return f"{self.layer}{channel}{weight}"


@dataclass(frozen=True, slots=True)
class ClassTerm:
    """A class by its name or number, and its weight: ``NAME[:WEIGHT]``."""

    name: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``tiger cat:0.5``; raises a SettingsError."""
        name, colon, weight = text.rpartition(":")
        try:
            term = cls((name if colon else weight).strip(), float(weight) if colon else 1.0)
            if not term.name or not math.isfinite(term.weight):
                raise ValueError
        except ValueError:
            raise SettingsError(
                f"{text!r} is not a class: write NAME or NAME:WEIGHT, as in 'tiger cat:0.5'"
            ) from None
        return term

    def __str__(self) -> str:
        plain = self.weight == 1 and ":" not in self.name
        return self.name if plain else f"{self.name}:{plain_number(self.weight)}"


_NTSC = (24, 30, 48, 60, 120)  # rates that it slows down by 1001/1000
_NTSC_SLACK = 0.005  # by which a rate may be rounded

_WEIGHTED = re.compile(r"(.+?):([-+]?[\d.]+(?:[eE][-+]?\d+)?)")


@dataclass(frozen=True, slots=True)
class StyleTerm:
    """A style image and its weight above 0: ``FILE[:WEIGHT]``.

    A file whose name ends like a weight needs one.
    """

    path: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``brush.jpg:0.5``; raises a SettingsError."""
        match = _WEIGHTED.fullmatch(text)
        try:
            term = cls(match[1], float(match[2])) if match else cls(text)
            if not text or not 0 < term.weight < math.inf:
                raise ValueError
        except ValueError:
            raise SettingsError(
                f"{text!r} is not a style: write FILE or FILE:WEIGHT with a weight above 0, "
                "as in brush.jpg:0.5"
            ) from None
        return term

    def __str__(self) -> str:
        plain = self.weight == 1 and not _WEIGHTED.fullmatch(self.path)
        return self.path if plain else f"{self.path}:{plain_number(self.weight)}"


def plain_number(number: float) -> str:
    """Format a number without an exponent; parsing it returns the same number."""
    return format(Decimal(repr(number)), "f").removesuffix(".0")


def parse_time(text: str) -> float:
    """Parse ``90``, ``1:30`` or ``0:01:30.5`` as seconds; raises a SettingsError."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)", text.strip())
    if match is None:
        raise SettingsError(f"{text!r} is not a time: write seconds (90.5) or [H:]MM:SS (1:30.5)")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def format_time(seconds: float | Fraction) -> str:
    """Format seconds as ``0:03.4`` or ``1:02:03.4``."""
    tenths = round(float(seconds) * 10)
    minutes, rest = divmod(abs(tenths), 600)
    hours, minutes = divmod(minutes, 60)
    sign = "-" if tenths < 0 else ""
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{sign}{head}:{rest // 10:02d}.{rest % 10}"


def parse_rate(text: str) -> float:
    """Parse ``25``, ``29.97`` or ``30000/1001`` as frames per second; raises a SettingsError."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(?:\s*/\s*(\d{1,9}))?", text.strip())
    over = int(match[2] or 1) if match else 0
    if match is None or over == 0:
        raise SettingsError(
            f"{text!r} is not a frame rate: write a number or a fraction (25, 30000/1001)"
        )
    return float(match[1]) / over


def exact_rate(rate: float) -> Fraction:
    """Return the frame rate that was meant: 29.97 and 23.976 are NTSC's 30000/1001, 24000/1001."""
    whole = round(rate * 1001 / 1000)
    ntsc = Fraction(whole * 1000, 1001)
    if whole in _NTSC and abs(rate - ntsc) < _NTSC_SLACK:
        return ntsc
    return Fraction(rate).limit_denominator(1001)


def parse_devices(text: str) -> str:
    """Check ``auto``, ``cuda:1`` or ``cuda:0,cuda:1``; raises a SettingsError."""
    names = [name.strip() for name in text.split(",")]
    known = all(re.fullmatch(r"cpu|mps|cuda(:\d{1,3})?", name) for name in names)
    if text != "auto" and not known:
        raise SettingsError(
            f"{text!r} is not a device: write auto, cpu, cuda, cuda:1 or mps; several, as in "
            "cuda:0,cuda:1, render at the same time"
        )
    return ",".join(names)


def parse_bytes(text: str) -> int:
    """Parse ``4G``, ``800M`` or ``1.5GiB`` (powers of 1024); raises a SettingsError."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    size = int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " ")) if match else 0
    if size < 1:
        raise SettingsError(f"{text!r} is not an amount of memory: write 4G, 800M or 1.5GiB")
    return size
