"""Statistics of a residual, dream − source, held over time.

Refinement adds contrast that the network does not see, which would accumulate; and less colour than
the many steps of a first dream, which would fade.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

# Factors by which a residual may change in one frame.
_LIGHT = (0.97, 1.005)  # slow on the way up: the dreamer adds its own
_COLOUR = (1 / 1.02, 1.02)
_TOLERANCE = 0.002  # around 1, within which nothing changes


@dataclass(frozen=True, slots=True)
class ResidualStatistics:
    """Mean absolute value of a residual."""

    light: float = 0.0  # of the mean of R, G and B
    colour: float = 0.0  # of the departure from that

    @classmethod
    def of(cls, residual: Tensor) -> ResidualStatistics:
        """Measure a residual, ``[1, 3, H, W]`` in [-1, 1]."""
        return cls(*(float(part.abs().mean()) for part in _parts(residual)))


def match_statistics(image: Tensor, source: Tensor, target: ResidualStatistics) -> Tensor:
    """Bring the statistics of the residual of ``[1, 3, H, W]`` nearer to a target.

    Brightness approaches that of the target; colour its proportion to brightness. Returns the
    image itself within the tolerance, or without a target.
    """
    residual = image - source
    found = ResidualStatistics.of(residual)
    if not (found.light and found.colour and target.light and target.colour):
        return image
    light = min(max(target.light / found.light, _LIGHT[0]), _LIGHT[1])
    wanted = found.light * target.colour / target.light
    colour = min(max(wanted / found.colour, _COLOUR[0]), _COLOUR[1])
    if max(abs(light - 1), abs(colour - 1)) < _TOLERANCE:
        return image
    grey, rest = _parts(residual)
    return (source + light * (grey + colour * rest)).clamp_(0, 1)


def _parts(residual: Tensor) -> tuple[Tensor, Tensor]:
    light = residual.mean(1, keepdim=True)
    return light, residual - light
