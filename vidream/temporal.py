"""How a dream is carried from one frame to the next.

A carrier makes the *start image* of a frame: what the dreamer deepens. Recurrence is a value, the
:class:`DreamState`, handed in and out; no module keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class DreamState:
    """What survives from one frame to the next; float32 throughout, never rounded to 8 bits.

    Args:
        index: number of the frame it was left by.
        source: the source frame, ``[1, 3, H, W]`` RGB in [0, 1].
        dream: its dream, likewise.
    """

    index: int
    source: Tensor = field(repr=False)
    dream: Tensor = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse tensors that do not belong together."""
        if self.source.shape != self.dream.shape:
            raise ValueError(f"source {list(self.source.shape)}, dream {list(self.dream.shape)}")


@dataclass(frozen=True, slots=True)
class Start:
    """Where the dreamer starts.

    Args:
        image: ``[1, 3, H, W]`` RGB in [0, 1].
        carried: whether an earlier dream is in it, so that few steps are enough.
    """

    image: Tensor = field(repr=False)
    carried: bool


class Carrier(Protocol):
    """Makes the start image of a frame from its source and what the last frame left."""

    def start(self, source: Tensor, state: DreamState | None) -> Start:
        """Give the start image of a ``[1, 3, H, W]`` source; ``state`` is None after a cut."""
        ...


@dataclass(frozen=True, slots=True)
class Blend:
    """Mixes the previous dream into the frame where it stands, without following motion.

    ``start = (1 − carry) · source + carry · previous dream``.
    """

    carry: float

    def start(self, source: Tensor, state: DreamState | None) -> Start:
        """Blend; a frame without a past, or of another size than it, starts from its source."""
        if state is None or self.carry == 0 or state.dream.shape != source.shape:
            return Start(source, carried=False)
        return Start(source.lerp(state.dream.to(source.device), self.carry), carried=True)
