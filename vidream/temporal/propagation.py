"""How a dream is propagated from frame to frame. Recurrence is a value: :class:`DreamState`."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from types import EllipsisType

import torch
from torch import Tensor

from vidream.core.effect import InitImage, State
from vidream.core.images import resize, size_of
from vidream.temporal.tracking import Motion
from vidream.temporal.warp import inside_mask, resize_flow, warp


@dataclass(frozen=True, slots=True)
class Keyframe:
    """The residual of an earlier frame, for regions that are hidden since then and reappear."""

    index: int  # number of the frame
    residual: Tensor = field(repr=False)  # image − frame, float16 [1, 3, H, W]


@dataclass(frozen=True, slots=True)
class DreamState:
    """What a frame leaves to the next one of its scene; never rounded to 8 bits.

    Raises:
        ValueError: frame and image differ in size.
    """

    index: int  # number of the frame
    frame: Tensor = field(repr=False)  # float32 [1, 3, H, W] RGB in [0, 1]
    image: Tensor = field(repr=False)  # what the effect made of it
    keyframes: tuple[Keyframe, ...] = ()  # the closest first
    effect: State = field(default_factory=dict, repr=False)  # the state that the effect returned

    def __post_init__(self) -> None:
        """Refuse tensors that do not belong together."""
        if self.frame.shape != self.image.shape:
            raise ValueError(f"frame {list(self.frame.shape)}, image {list(self.image.shape)}")

    @property
    def residual(self) -> Tensor:
        """What the effect adds to the frame, ``[1, 3, H, W]``."""
        return self.image - self.frame


@dataclass(frozen=True, slots=True)
class InpaintSettings:
    """Constants of inpainting."""

    # Pixels from which the residual is taken, in eight directions each. The largest first: along a
    # pan what is inpainted repeats at that distance.
    distances: tuple[int, ...] = (192, 96, 48)
    enough: float = 0.002  # share of the frame without a residual at which inpainting ends
    min_confidence: float = 0.9  # of the regions that are copied

    def offsets(self) -> Iterator[tuple[int, int]]:
        """Yield where to take the residual from, in pixels down and right."""
        directions = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))
        for distance in self.distances:
            for down, right in directions:
                yield down * distance, right * distance


SETTINGS = InpaintSettings()


def propagate(
    state: DreamState | None, motion: Motion, frame: Tensor, coherence: float
) -> InitImage:
    """Return the initial image of a frame: ``clip(frame + coherence · warp(residual, flow))``.

    The residual and not the image, so that the frame's own motion and light stay sharp. Regions
    that the previous frame does not show take the residual of the closest keyframe that does
    (Ruder, Dosovitskiy, Brox 2016). Regions that none shows are new, and inpainted: with what the
    flow leads to all the same, and outside the previous frame with what is beside them.

    Args:
        state: what the previous frame left; None at the first frame.
        motion: of the frame.
        frame: ``[1, 3, H, W]`` RGB in [0, 1].
        coherence: share of the residual that is propagated, 0 (nothing) to 1.

    Returns:
        The frame itself, without a mask, at a cut or where the state is of another size.
    """
    if state is None or motion.cut or coherence == 0 or state.image.shape != frame.shape:
        return InitImage(frame)
    residuals = {keyframe.index: keyframe.residual for keyframe in state.keyframes}
    residuals[state.index] = state.residual
    size = size_of(frame)
    residual = torch.zeros_like(frame)
    unknown = torch.ones_like(frame[:, :1])
    nearby, inside = torch.zeros_like(residual), torch.zeros_like(unknown)
    carry = None
    for field_ in motion.fields:
        if field_.index not in residuals:
            continue
        earlier = residuals[field_.index].to(frame.device, torch.float32)
        share = unknown * resize(field_.confidence.to(frame.device), size)
        flow = resize_flow(field_.flow.to(frame.device), size)
        is_previous = field_.index == state.index
        # Bilinear is enough for the few places that keyframes fill, and takes a third.
        warped = warp(earlier, flow, "bicubic" if is_previous else "bilinear")
        residual += share * warped
        unknown = unknown - share
        if is_previous:
            nearby, inside = warped, inside_mask(flow)
            carry = partial(warp, flow=flow, mode="bilinear")
    residual += unknown * inside * nearby
    residual = inpaint(residual, 1 - unknown * (1 - inside))
    image = (frame + coherence * residual).clamp_(0, 1)
    return InitImage(image, 1 - coherence * (1 - unknown), carry)


def inpaint(residual: Tensor, known: Tensor) -> Tensor:
    """Fill regions that have no residual with that of regions around them.

    A dream is mostly texture, and half as strong in another place as where it grew: from there it
    takes a third of the steps. Along a pan the pieces join, for all come from equally far away.

    Args:
        residual: ``[1, 3, H, W]``, 0 where nothing is known.
        known: how much of each pixel's residual is known, ``[1, 1, H, W]``, 0 to 1.
    """
    # Regions that are known by half stay so: what fills them would change from frame to frame.
    unknown = (1 - 2 * known).clamp_min(0)
    sure = (known > SETTINGS.min_confidence).to(known.dtype)
    residual = residual.clone()
    for down, right in SETTINGS.offsets():
        if float(unknown.mean()) < SETTINGS.enough:
            break
        there, here = _overlap(down, right, residual)
        share = unknown[here] * sure[there]
        residual[here] += share * residual[there]
        unknown[here] -= share * known[there]
    return residual


def _overlap(
    down: int, right: int, image: Tensor
) -> tuple[tuple[EllipsisType, slice, slice], tuple[EllipsisType, slice, slice]]:
    """Return what selects the region that is copied, and the region that it is copied to."""

    def pair(by: int, length: int) -> tuple[slice, slice]:
        by = max(-length, min(by, length))
        here = slice(max(0, by), length + min(0, by))
        return slice(here.start - by, here.stop - by), here

    rows, columns = pair(down, image.shape[-2]), pair(right, image.shape[-1])
    return (..., rows[0], columns[0]), (..., rows[1], columns[1])


def update_state(
    state: DreamState | None, new: DreamState, motion: Motion, recall: int
) -> DreamState:
    """Return ``new``, what a frame leaves to the next, with up to ``recall`` keyframes."""
    keyframes = () if state is None or motion.cut else state.keyframes
    if motion.keep:
        keyframe = Keyframe(new.index, new.residual.to(torch.float16))
        keyframes = (keyframe, *keyframes)[:recall]
    return replace(new, keyframes=keyframes)
