"""The endless zoom: each frame is the one before it, enlarged, turned, and dreamed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vidream.animate.plan import AnimationPlan
from vidream.core.effect import Context, Effect, InitImage
from vidream.core.filters import gaussian_blur
from vidream.core.view_transform import ViewTransform
from vidream.dream.residual import ResidualStatistics, match_statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoomPolicy:
    """Constants of the zoom.

    Args:
        recentre: share of a drift of the mean colour that is undone at the next frame.
        sharpen: amount of sharpening for each share of sharpness that is lost.
        most_sharpened: at once: more would draw seams around everything.
        grain: σ in pixels of what is sharpened: about what resampling blurs.
        edge: pixels, for each frame to come, of the soft edge of a loop's first frame.
    """

    recentre: float = 0.05
    sharpen: float = 3.0
    most_sharpened: float = 0.25
    grain: float = 1.0
    edge: float = 3.0


POLICY = ZoomPolicy()


def zoom(
    still: Tensor, effect: Effect, plan: AnimationPlan, context: Callable[[int], Context]
) -> Iterator[Tensor]:
    """Zoom into a still.

    Args:
        still: float32 ``[1, 3, H, W]`` RGB in [0, 1], on the device to work on.
        effect: makes the first frame of the still, and each other one of the one before. If it is
            recurrent, light and sharpness are held to those of its first frame.
        plan: how each frame is seen from the next; the last transform leads back to the first
            frame of a loop.
        context: the moment of a frame, by its index.

    Yields:
        Float32 ``[1, 3, H, W]`` in [0, 1].
    """
    image, state = effect.step(InitImage(still), still, context(0), {})
    yield image
    appearance = Appearance.of(image) if effect.recurrent else None
    loop = Loop(image, plan.transforms[len(plan.transforms) - plan.loop :])
    for index, transform in enumerate(plan.transforms[: plan.frames - 1], 1):
        moved = transform.move(image)
        if appearance is not None:
            moved = appearance.hold(moved)
        moved = loop.approach(moved, plan.frames - index)
        # There is not detail enough for all the pixels that an enlarged picture comes to cover.
        new_mask = torch.full_like(still[:, :1], 1 - transform.zoom**-2)
        # It is the source as well: the animation shows nothing but its own past.
        image, state = effect.step(InitImage(moved, new_mask), moved, context(index), state)
        yield image


@dataclass(frozen=True, slots=True)
class Appearance:
    """Light and sharpness of the first frame, which later ones are held to.

    Args:
        mean: mean colour, ``[1, 3, 1, 1]``.
        spread: statistics of the departure from it.
        sharpness: mean gradient of the brightness, per pixel.
    """

    mean: Tensor = field(repr=False)
    spread: ResidualStatistics
    sharpness: float

    @classmethod
    def of(cls, image: Tensor) -> Appearance:
        """Measure an image, ``[1, 3, H, W]`` in [0, 1]."""
        mean = image.mean((-2, -1), keepdim=True)
        return cls(mean, ResidualStatistics.of(image - mean), sharpness(image))

    def hold(self, image: Tensor) -> Tensor:
        """Return an image brought a little nearer, and sharpened by what moving it has blurred."""
        lost = self.sharpness / max(sharpness(image), 1e-6) - 1
        amount = min(max(POLICY.sharpen * lost, 0.0), POLICY.most_sharpened)
        if amount:
            image = image + amount * (image - gaussian_blur(image, POLICY.grain))
        drift = self.mean - image.mean((-2, -1), keepdim=True)
        recentred = (image + POLICY.recentre * drift).clamp_(0, 1)
        return match_statistics(recentred, self.mean, self.spread)


def sharpness(image: Tensor) -> float:
    """Return the mean size of the gradient of the brightness of an image, per pixel."""
    grey = image.mean(1)
    across, down = grey.diff(dim=-1)[..., :-1, :], grey.diff(dim=-2)[..., :-1]
    return float(torch.hypot(across, down).mean())


@dataclass(frozen=True, slots=True)
class Loop:
    """How a loop returns to its first frame.

    That frame, seen from before it is reached, lies small in the middle of the picture. It is
    blended in a little with each frame that it comes nearer, so that the dream grows the two
    together and no double exposure shows. One frame after the last it would be the first.

    Args:
        first: ``[1, 3, H, W]``.
        transforms: of the frames in which it returns; none to go on for ever.
    """

    first: Tensor = field(repr=False)
    transforms: tuple[ViewTransform, ...]

    def approach(self, image: Tensor, left: int) -> Tensor:
        """Blend in the first frame, ``left`` frames before it is reached."""
        if left >= len(self.transforms):
            return image
        ahead = ViewTransform.together(self.transforms[-left:])
        size = (image.shape[-2], image.shape[-1])
        edge = ahead.depth_inside(size, -1, image.device)
        share = self._share(left) * (edge / (1 + POLICY.edge * (left - 1))).clamp(0, 1)
        return image.lerp(ahead.move(self.first, -1), share.expand_as(image))

    def _share(self, left: int) -> float:
        """Return what is blended in at once, so that in all it follows a smooth ramp."""
        before, after = self._ramp(left + 1), self._ramp(left)
        return (after - before) / (1 - before)

    def _ramp(self, left: int) -> float:
        done = 1 - left / len(self.transforms)
        return done * done * (3 - 2 * done)
