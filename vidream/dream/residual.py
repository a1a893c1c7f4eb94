"""Statistics of a residual, dream − source, held over time.

What steps add that the network does not see would accumulate as contrast; and the few steps of a
propagated dream add less colour than the many of its first.
"""

from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor


@dataclass(frozen=True, slots=True)
class ResidualStatistics:
    """Mean absolute value of a residual."""

    light: float = 0.0  # of the mean of R, G and B
    colour: float = 0.0  # of the departure from that

    def scaled(self, factor: float) -> Self:
        """Return those of a residual that is ``factor`` times as large."""
        return replace(self, light=factor * self.light, colour=factor * self.colour)

    @classmethod
    def of(cls, residual: Tensor) -> Self:
        """Measure a residual, ``[1, 3, H, W]`` in [-1, 1]."""
        return cls(*(float(part.abs().mean()) for part in _parts(residual)))


@dataclass(frozen=True, slots=True)
class ResidualPolicy:
    """Factors by which a residual may change in one frame."""

    min_light: float = 0.97
    max_light: float = 1.005  # slow: the dreamer adds its own
    max_colour: float = 1.02  # and its inverse
    tolerance: float = 0.002  # around 1, within which nothing changes


_POLICY = ResidualPolicy()


def match_statistics(image: Tensor, source: Tensor, target: ResidualStatistics) -> Tensor:
    """Bring the statistics of the residual of ``[1, 3, H, W]`` nearer to a target.

    Brightness approaches the target's; colour its proportion to brightness. Returns the image
    itself within the tolerance, or without a target.
    """
    residual = image - source
    found = ResidualStatistics.of(residual)
    if not (found.light and found.colour and target.light and target.colour):
        return image
    light = min(max(target.light / found.light, _POLICY.min_light), _POLICY.max_light)
    wanted = found.light * target.colour / target.light
    colour = min(max(wanted / found.colour, 1 / _POLICY.max_colour), _POLICY.max_colour)
    if max(abs(light - 1), abs(colour - 1)) < _POLICY.tolerance:
        return image
    grey, rest = _parts(residual)
    return (source + light * (grey + colour * rest)).clamp_(0, 1)


def _parts(residual: Tensor) -> tuple[Tensor, Tensor]:
    light = residual.mean(1, keepdim=True)
    return light, residual - light
