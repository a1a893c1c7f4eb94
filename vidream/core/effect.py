"""The effect contract.

A third party registers a factory, ``make(settings, resources) -> Effect``, under the entry-point
group ``vidream.effects``, as the built-in effects are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import torch
from torch import Tensor

from vidream.core.frames import Picture
from vidream.core.memory import MemoryBudget
from vidream.core.reporting import Reporter
from vidream.core.settings import Settings

State = Mapping[str, Tensor]
"""What an effect finds again at the next frame of a scene, by name. Saved and resumed as it is."""


@dataclass(frozen=True, slots=True)
class Context:
    """The time of a frame, and what changes over time.

    Args:
        index: number of the frame in its clip, from 0.
        time: seconds since the clip began.
        settings: at that time.
        guide: uint8 ``[H, W, 3]`` RGB, where a video guides the dream.
    """

    index: int
    time: Fraction
    settings: Settings
    guide: Picture | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class InitImage:
    """The initial image of a frame.

    Args:
        image: float32 ``[1, 3, H, W]`` RGB in [0, 1]: the frame plus the propagated residual.
        new_mask: ``[1, 1, H, W]``, 0 (propagated) to 1 (the frame itself); None if nothing is
            propagated.
        carry: warps a map of the previous frame, ``[1, C, H, W]``, to this one; None if its motion
            is not known.
    """

    image: Tensor = field(repr=False)
    new_mask: Tensor | None = field(default=None, repr=False)
    carry: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)

    def propagated(self, frame: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Return the previous output, warped to this frame, and its confidence, ``[1, 1, H, W]``.

        That is 0 where less than half is propagated: the residual is inpainted there. ``share`` of
        the residual is propagated, 0 to 1.
        """
        if self.new_mask is None or share == 0:
            return frame, torch.zeros_like(frame[:, :1])
        known = (1 - self.new_mask) / share
        return frame + (self.image - frame) / share, (2 * known - 1).clamp(0, 1)


class Effect(Protocol):
    """Turns the initial image of a frame into its output.

    Optional: ``weights`` maps names of weights files to their SHA-256 in hex, for the record;
    ``deepens`` says that a frame shown again goes on from what became of it; ``strength(state)``
    is the strength of the frame before, over that of one dreamed alone, for the report.
    """

    @property
    def recurrent(self) -> bool:
        """Whether the previous output is to be propagated into the initial image."""

    @property
    def over_time(self) -> frozenset[str]:
        """Names of the settings that may change from frame to frame."""

    def step(
        self, init: InitImage, frame: Tensor, context: Context, state: State
    ) -> tuple[Tensor, State]:
        """Return the output of a frame, as ``frame`` is, and the state for the next frame.

        Args:
            init: the initial image.
            frame: float32 ``[1, 3, H, W]`` RGB in [0, 1].
            context: of the frame.
            state: returned for the previous frame of the scene; empty at its first.
        """


@dataclass(frozen=True, slots=True)
class Resources:
    """What an effect is made with besides its settings.

    Args:
        reporter: receives the progress of downloads.
        memory: budget on the device; None for that of the settings.
    """

    reporter: Reporter = field(default_factory=Reporter)
    memory: MemoryBudget | None = None


EffectFactory = Callable[[Settings, Resources], Effect]
"""What is registered under the entry points ``vidream.effects``."""
