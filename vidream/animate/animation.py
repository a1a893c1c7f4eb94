"""Animations of a still as a source of frames: what they show is dreamed already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice

import torch
from torch import Tensor

from vidream.animate.octaves import grow
from vidream.animate.plan import AnimationPlan, plan_animation
from vidream.animate.zoom import zoom
from vidream.core.effect import Context, Effect
from vidream.core.errors import SettingsError
from vidream.core.frames import Frame, Picture
from vidream.core.images import to_picture, to_tensor
from vidream.core.reporting import Reporter
from vidream.core.settings import Settings
from vidream.dream.dreamer import Dreamer
from vidream.timeline.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Animation:
    """An animation of a still: its octaves, or an endless zoom into it.

    Args:
        still: uint8 ``[H, W, 3]`` RGB.
        timeline: the settings, and what changes in them.
        device: where the images are.
        plan: what becomes of the still.

    Raises:
        SettingsError: the settings make no animation.
    """

    still: Picture = field(repr=False)
    timeline: Timeline
    device: torch.device | str = "cpu"
    plan: AnimationPlan = field(init=False)

    def __post_init__(self) -> None:
        """Plan it, before anything slow is done."""
        size = self.still.shape[0], self.still.shape[1]
        object.__setattr__(self, "plan", plan_animation(size, self.timeline))

    @property
    def settings(self) -> Settings:
        """The settings that the effect is to be made with."""
        return _animated(self.timeline.settings)

    def frames(self, effect: Effect, reporter: Reporter | None = None) -> Iterator[Frame]:
        """Yield the frames as they are made.

        Args:
            effect: made of :attr:`settings`.
            reporter: told of each gradient step of an octave, which may take long.

        Raises:
            VidreamError: whatever the effect raises.
        """
        images = self._images(effect, reporter or Reporter())
        for index, image in enumerate(islice(images, self.plan.frames)):
            yield Frame(to_picture(image), index, index, self.plan.info.time_base, 1)

    def _images(self, effect: Effect, reporter: Reporter) -> Iterator[Tensor]:
        still = to_tensor(self.still, self.device if effect.recurrent else "cpu")
        if self.plan.transforms:
            return zoom(still, effect, self.plan, self._context)
        dreamer: Dreamer | None = getattr(effect, "dreamer", None)
        if dreamer is None:
            raise SettingsError("an animation of octaves needs the dreamer: use the effect dream")
        animation = self.timeline.settings.animation
        return grow(still, dreamer, animation, self.plan.sizes, reporter.step)

    def _context(self, index: int) -> Context:
        time = Fraction(index) / self.plan.rate
        return Context(index, time, _animated(self.timeline.at(time)))


def _animated(settings: Settings) -> Settings:
    """Return settings whose dream is that of each picture of the animation."""
    return replace(settings, dream=settings.animation.adapted(settings.dream))
