"""The endless zoom: each frame is the one before it, enlarged, turned, and dreamed on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from vidream.animate.plan import AnimationPlan
from vidream.core.effect import Context, Effect, InitImage
from vidream.core.filters import gaussian_blur
from vidream.core.images import size_of
from vidream.core.view_transform import ViewTransform
from vidream.dream.residual import ResidualStatistics, match_statistics


@dataclass(frozen=True, slots=True)
class ZoomPolicy:
    """Constants of the zoom."""

    recentre: float = 0.05  # share of a drift of the mean colour that is undone at the next frame
    sharpen: float = 3.0  # amount of sharpening for each share of sharpness that is lost
    most_sharpened: float = 0.25  # at once: more would draw seams around everything
    grain: float = 1.0  # σ in pixels of what is sharpened: about what resampling blurs
    edge: float = 3.0  # pixels, for each frame to come, of the soft edge of a loop's first frame


_POLICY = ZoomPolicy()


def zoom(
    still: Tensor, effect: Effect, plan: AnimationPlan, context: Callable[[int], Context]
) -> Iterator[Tensor]:
    """Zoom into a still.

    Args:
        still: float32 ``[1, 3, H, W]`` RGB in [0, 1].
        effect: if it is recurrent, light and sharpness are held to those of its first frame.
        plan: of the zoom.
        context: of a frame, by its index.

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
        # Detail is missing for the pixels that an enlarged picture comes to cover.
        new_mask = torch.full_like(still[:, :1], 1 - transform.zoom**-2)
        # The previous frame is the source as well.
        image, state = effect.step(InitImage(moved, new_mask), moved, context(index), state)
        yield image


@dataclass(frozen=True, slots=True)
class Appearance:
    """Light and sharpness of the first frame, which later ones are held to."""

    mean: Tensor = field(repr=False)  # colour, [1, 3, 1, 1]
    spread: ResidualStatistics  # of the departure from the mean
    sharpness: float

    @classmethod
    def of(cls, image: Tensor) -> Self:
        """Measure an image, ``[1, 3, H, W]`` in [0, 1]."""
        mean = image.mean((-2, -1), keepdim=True)
        return cls(mean, ResidualStatistics.of(image - mean), sharpness(image))

    def hold(self, image: Tensor) -> Tensor:
        """Bring an image a little nearer, and sharpen what resampling has blurred."""
        lost = self.sharpness / max(sharpness(image), 1e-6) - 1
        amount = min(max(_POLICY.sharpen * lost, 0.0), _POLICY.most_sharpened)
        if amount:
            image = image + amount * (image - gaussian_blur(image, _POLICY.grain))
        drift = self.mean - image.mean((-2, -1), keepdim=True)
        recentred = (image + _POLICY.recentre * drift).clamp_(0, 1)
        return match_statistics(recentred, self.mean, self.spread)


def sharpness(image: Tensor) -> float:
    """Return the mean magnitude of the gradient of the brightness, per pixel."""
    grey = image.mean(1)
    across, down = grey.diff(dim=-1)[..., :-1, :], grey.diff(dim=-2)[..., :-1]
    return float(torch.hypot(across, down).mean())


@dataclass(frozen=True, slots=True)
class Loop:
    """The return of a loop to its first frame.

    That frame lies small in the middle of the picture. It is blended in a little at each frame, so
    that the dream merges the two and no double exposure shows.
    """

    first: Tensor = field(repr=False)  # [1, 3, H, W]
    transforms: tuple[ViewTransform, ...]  # of the frames in which it returns

    def approach(self, image: Tensor, left: int) -> Tensor:
        """Blend in the first frame, ``left`` frames before it is reached."""
        if left >= len(self.transforms):
            return image
        ahead = ViewTransform.together(self.transforms[-left:])
        depth = ahead.depth_inside(size_of(image), -1, image.device)
        # In all a smooth ramp.
        done = (1 - count / len(self.transforms) for count in (left + 1, left))
        before, after = (x * x * (3 - 2 * x) for x in done)
        share = (
            (after - before) / (1 - before) * (depth / (1 + _POLICY.edge * (left - 1))).clamp(0, 1)
        )
        return image.lerp(ahead.move(self.first, -1), share.expand_as(image))
