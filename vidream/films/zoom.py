"""The endless zoom: each frame is the one before it, moved by a camera and dreamed on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vidream.dreamer.balance import Spread, held
from vidream.images import Camera
from vidream.images.filters import gaussian_blur
from vidream.processors import Processor
from vidream.temporal import Start

_RECENTRE = 0.05  # share of a drift of the mean colour that is undone at the next frame
_SHARPEN = 3.0  # amount of sharpening for each share of sharpness that is lost
_MOST_SHARPENED = 0.25  # at once: more would draw seams around everything
_GRAIN = 1.0  # σ in pixels of what is sharpened: about what resampling blurs
_EDGE = 3  # pixels, for each frame to come, of the soft edge of the beginning that comes nearer


def zoom(
    still: Tensor,
    processor: Processor,
    camera: Camera | Sequence[Camera],
    frames: int,
    back: int = 0,
) -> Iterator[Tensor]:
    """Zoom into a still for ever.

    Args:
        still: float32 ``[1, 3, H, W]`` RGB in [0, 1], on the device to work on.
        processor: makes the first frame of the still, and each other one of the one before. If it
            is recurrent, for it dreams on its own dreams, light and sharpness are held to those of
            its first frame.
        camera: how each frame is seen from the next; its zoom is 1 or more. One for each frame if
            they differ: that of the last leads back to the first of a loop.
        frames: in all.
        back: how many of them, at the end, it takes a loop to return to the first; 0 for no loop.

    Yields:
        Float32 ``[1, 3, H, W]`` in [0, 1].
    """
    image, memo = processor.process(Start(still), still, 0)
    yield image
    look = Look.of(image) if processor.recurrent else None
    moves = [camera] * frames if isinstance(camera, Camera) else camera
    loop = Return(image, tuple(moves[len(moves) - back :]))
    for index, move in enumerate(moves[: frames - 1], 1):
        start = move.move(image)
        if look is not None:
            start = look.hold(start)
        start = loop.approach(start, frames - index)
        # There is not detail enough for all the pixels that an enlarged picture comes to cover.
        fresh = torch.full_like(still[:, :1], 1 - move.zoom**-2)
        # It is the source as well: the film shows nothing but its own past.
        image, memo = processor.process(Start(start, fresh, memo), start, index)
        yield image


@dataclass(frozen=True, slots=True)
class Look:
    """Light and sharpness of the first frame, which the later ones are held to.

    Args:
        mean: its mean colour, ``[1, 3, 1, 1]``.
        spread: of its departure from that.
        sharpness: its :func:`sharpness`.
    """

    mean: Tensor = field(repr=False)
    spread: Spread
    sharpness: float

    @classmethod
    def of(cls, image: Tensor) -> Look:
        """Measure an image, ``[1, 3, H, W]`` in [0, 1]."""
        mean = image.mean((-2, -1), keepdim=True)
        return cls(mean, Spread.of(image - mean), sharpness(image))

    def hold(self, image: Tensor) -> Tensor:
        """Give an image brought a little nearer: what was blurred by moving it is sharpened."""
        lost = self.sharpness / max(sharpness(image), 1e-6) - 1
        amount = min(max(_SHARPEN * lost, 0.0), _MOST_SHARPENED)
        if amount:
            image = image + amount * (image - gaussian_blur(image, _GRAIN))
        drift = self.mean - image.mean((-2, -1), keepdim=True)
        return held((image + _RECENTRE * drift).clamp_(0, 1), self.mean, self.spread)


def sharpness(image: Tensor) -> float:
    """Give the mean size of the gradient of an image's brightness, per pixel."""
    grey = image.mean(1)
    across, down = grey.diff(dim=-1)[..., :-1, :], grey.diff(dim=-2)[..., :-1]
    return float(torch.hypot(across, down).mean())


@dataclass(frozen=True, slots=True)
class Return:
    """The way of a loop back into its first frame.

    The first frame, as it was seen before it was reached: far away in the middle of the picture.
    It comes nearer as the film does, and is let in a little with each frame, so that the dream
    grows the two together and no double picture is seen. One frame after the last it would be the
    first.

    Args:
        first: ``[1, 3, H, W]``.
        moves: how the film moves on its way back; none to go on for ever.
    """

    first: Tensor = field(repr=False)
    moves: tuple[Camera, ...]

    def approach(self, image: Tensor, left: int) -> Tensor:
        """Let in the first frame, ``left`` frames before it is reached."""
        if left >= len(self.moves):
            return image
        way = Camera.together(self.moves[-left:])
        there = way.move(self.first, -1)
        size = (image.shape[-2], image.shape[-1])
        edge = way.depth_inside(size, -1, image.device)
        share = self._share(left) * (edge / (1 + _EDGE * (left - 1))).clamp(0, 1)
        return image.lerp(there, share.expand_as(image))

    def _share(self, left: int) -> float:
        """Give what is let in at once, so that in all it follows a smooth ramp."""
        before, after = self._ramp(left + 1), self._ramp(left)
        return (after - before) / (1 - before)

    def _ramp(self, left: int) -> float:
        way = 1 - left / len(self.moves)
        return way * way * (3 - 2 * way)
