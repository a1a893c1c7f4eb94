"""How a dream's light and colour are held over time. Pure functions on residuals, dream − source.

Steps also add what the network does not see: carried on from frame to frame it would gather as
contrast without strength. And the few steps that a carried dream gets bring less colour than the
many that it began with, so that it would pale. Both are told from the residual's *spread*: how far
it departs from 0 in brightness and in colour.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

_LEAST_LIGHT = 0.97  # factor on brightness in one frame
_MOST_LIGHT = 1.005
_MOST_COLOUR = 1.02  # factor on colour in one frame, and its inverse
_BALANCED = 0.002  # what a factor may be off 1 and change nothing: still ground stays bit for bit


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean absolute value of a residual.

    Args:
        light: of its brightness, the mean of R, G and B, in [0, 1].
        colour: of what R, G and B depart from that. Of nothing, by default.
    """

    light: float = 0.0
    colour: float = 0.0

    @classmethod
    def of(cls, residual: Tensor) -> Spread:
        """Measure a residual, ``[1, 3, H, W]`` in [-1, 1]."""
        light, colour = _parts(residual)
        return cls(*(float(part.abs().mean()) for part in (light, colour)))


def held(image: Tensor, source: Tensor, to: Spread) -> Tensor:
    """Bring the residual of a carried dream a little nearer to a spread.

    Brightness comes to that of the model, quickly from above and slowly from below, where the
    dreamer adds its own; colour keeps its proportion to brightness.

    Args:
        image: ``[1, 3, H, W]`` in [0, 1].
        source: likewise; the residual is what the image adds to it.
        to: of the scene's first dream.

    Returns:
        A new image; the same one if it is in balance, or there is nothing to hold it to.
    """
    residual = image - source
    found = Spread.of(residual)
    if not (found.light and found.colour and to.light and to.colour):
        return image
    light = min(max(to.light / found.light, _LEAST_LIGHT), _MOST_LIGHT)
    wanted = found.light * to.colour / to.light
    colour = min(max(wanted / found.colour, 1 / _MOST_COLOUR), _MOST_COLOUR)
    if max(abs(light - 1), abs(colour - 1)) < _BALANCED:
        return image
    grey, rest = _parts(residual)
    return (source + light * (grey + colour * rest)).clamp_(0, 1)


def _parts(residual: Tensor) -> tuple[Tensor, Tensor]:
    light = residual.mean(1, keepdim=True)
    return light, residual - light
