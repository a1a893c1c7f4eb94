"""Animations of a still: dreamed frames."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice

import torch
from torch import Tensor

from vidream.animate.octaves import grow
from vidream.animate.plan import plan_animation
from vidream.animate.zoom import zoom
from vidream.core.effect import Context, Effect
from vidream.core.errors import SettingsError
from vidream.core.frames import Frame, Picture
from vidream.core.images import to_picture, to_tensor
from vidream.core.reporting import Reporter
from vidream.core.settings import Settings
from vidream.dream.dreamer import Dreamer
from vidream.timeline.timeline import Timeline


class Animation:
    """An animation of a still: its octaves, or an endless zoom into it.

    Args:
        still: uint8 ``[H, W, 3]`` RGB.
        timeline: settings over time.
        device: of the images.

    Raises:
        SettingsError: the settings make no animation.
    """

    def __init__(
        self, still: Picture, timeline: Timeline, device: torch.device | str = "cpu"
    ) -> None:
        self.still, self.timeline, self.device = still, timeline, device
        self.plan = plan_animation((still.shape[0], still.shape[1]), timeline)

    @property
    def settings(self) -> Settings:
        """The settings of the effect."""
        return _animated(self.timeline.settings)

    def frames(self, effect: Effect, reporter: Reporter | None = None) -> Iterator[Frame]:
        """Yield the frames, and report each gradient step of an octave.

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
        time = Fraction(index) * self.plan.info.time_base
        return Context(index, time, _animated(self.timeline.at(time)))


def _animated(settings: Settings) -> Settings:
    return replace(settings, dream=settings.animation.adapted(settings.dream))
