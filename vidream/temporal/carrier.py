"""How a dream is carried from one frame to the next.

A carrier makes the *start image* of a frame: what the dreamer deepens. Recurrence is a value, the
:class:`DreamState`, handed in and out; no module keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import EllipsisType
from typing import Protocol

import torch
from torch import Tensor

from vidream.images import resize
from vidream.temporal.motion import Motion
from vidream.temporal.warp import inside, resize_flow, warp

Memo = tuple[float, ...]
"""What a processor wants to find again at the next frame: plain numbers."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The dream of an earlier frame, for what is hidden since then and comes back.

    Args:
        index: number of the frame.
        residual: dream − source, ``[1, 3, H, W]``; float16, for several of them are kept.
    """

    index: int
    residual: Tensor = field(repr=False)


@dataclass(frozen=True, slots=True)
class DreamState:
    """What survives from one frame to the next; never rounded to 8 bits.

    Args:
        index: number of the frame it was left by.
        source: the source frame, float32 ``[1, 3, H, W]`` RGB in [0, 1].
        dream: its dream, likewise.
        memory: dreams of older frames, the closest first.
        memo: what the processor left.
    """

    index: int
    source: Tensor = field(repr=False)
    dream: Tensor = field(repr=False)
    memory: tuple[Memory, ...] = ()
    memo: Memo = ()

    def __post_init__(self) -> None:
        """Refuse tensors that do not belong together."""
        if self.source.shape != self.dream.shape:
            raise ValueError(f"source {list(self.source.shape)}, dream {list(self.dream.shape)}")

    @property
    def residual(self) -> Tensor:
        """What the dream adds to the source."""
        return self.dream - self.source


@dataclass(frozen=True, slots=True)
class Start:
    """Where the dreamer starts.

    Args:
        image: ``[1, 3, H, W]`` RGB in [0, 1].
        fresh: ``[1, 1, H, W]``: how much of each pixel is new, 0 (fully carried) to 1 (raw
            source); None if nothing is carried.
        memo: what the processor left at the previous frame; empty if nothing is carried.
    """

    image: Tensor = field(repr=False)
    fresh: Tensor | None = field(default=None, repr=False)
    memo: Memo = ()

    @property
    def carried(self) -> bool:
        """Whether an earlier dream is in it, so that few steps are enough."""
        return self.fresh is not None

    def apart(self, source: Tensor, carry: float) -> tuple[Tensor, Tensor]:
        """Give what was carried, without the source, and where it can be relied on.

        Regions that are known by less than half hold what was inpainted: they are not relied on.

        Args:
            source: the frame, ``[1, 3, H, W]`` RGB in [0, 1].
            carry: share of a dream that is carried on.

        Returns:
            The dream of the frame before, at its places in this one, ``[1, 3, H, W]``; and
            ``[1, 1, H, W]``, from 0 to 1 where all of it is known.
        """
        if self.fresh is None or carry == 0:
            return source, torch.zeros_like(source[:, :1])
        known = (1 - self.fresh) / carry
        carried = source + (self.image - source) / carry
        return carried, (2 * known - 1).clamp(0, 1)


class Carrier(Protocol):
    """Makes the start image of a frame from its source and what the last frame left."""

    def start(self, source: Tensor, state: DreamState | None, motion: Motion) -> Start:
        """Give the start image.

        Args:
            source: the frame, ``[1, 3, H, W]`` RGB in [0, 1].
            state: what the last frame left; None at the first frame and after a cut.
            motion: the way back to the last frame, and to those in its memory.
        """
        ...


_FROM = tuple(
    (down * reach, right * reach)
    for reach in (192, 96, 48)
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))
)  # pixels down and right; from afar first: along a pan what is inpainted repeats at that distance
_FILLED = 0.002  # share of the frame without a dream at which inpainting ends
_SOUND = 0.9  # how well known ground must be to be inpainted


@dataclass(frozen=True, slots=True)
class MotionCarrier:
    """Carries the residual along the motion: ``start = clip(source + carry · warp(r, w))``.

    Carrying the residual and not the image keeps the source's own motion and light sharp. Regions
    that the previous frame does not show take the residual of the closest older frame that does
    (Ruder, Dosovitskiy, Brox 2016: "closest first"). Those that no frame shows are inpainted: with
    the residual that the flow leads to all the same, for it is a dream and from nearby; and
    outside the previous frame with that of regions beside them.

    Args:
        carry: share of the residual that is carried on, 0 (nothing) to 1.
    """

    carry: float = 1.0

    def start(self, source: Tensor, state: DreamState | None, motion: Motion) -> Start:
        """Carry; a frame without a past, or of another size than it, starts from its source."""
        if state is None or self.carry == 0 or state.dream.shape != source.shape:
            return Start(source)
        residuals = {m.index: m.residual for m in state.memory}
        residuals[state.index] = state.residual
        size = (source.shape[-2], source.shape[-1])
        carried = torch.zeros_like(source)
        unknown = torch.ones_like(source[:, :1])
        nearby, known = torch.zeros_like(carried), torch.zeros_like(unknown)
        for track in motion.tracks:
            if track.index not in residuals:
                continue
            residual = residuals[track.index].to(source.device, torch.float32)
            share = unknown * resize(track.trust.to(source.device), size)
            flow = resize_flow(track.flow.to(source.device), size)
            # Bilinear is enough for the few places that older frames fill, and takes a third.
            mode = "bicubic" if track.index == state.index else "bilinear"
            propagated = warp(residual, flow, mode)
            carried += share * propagated
            unknown = unknown - share
            if track.index == state.index:
                nearby, known = propagated, inside(flow)
        carried += unknown * known * nearby
        residual = inpaint(carried, 1 - unknown * (1 - known))
        image = (source + self.carry * residual).clamp_(0, 1)
        return Start(image, 1 - self.carry * (1 - unknown), state.memo)


def inpaint(residual: Tensor, known: Tensor) -> Tensor:
    """Fill regions that have no dream yet with the residual of regions around them.

    A dream is mostly texture, and half as strong in another place as where it grew: from there it
    takes a third of the steps. Along a pan the pieces join, for each comes from as far away as the
    one before.

    Args:
        residual: ``[1, 3, H, W]``, 0 where nothing is known.
        known: ``[1, 1, H, W]``: how much of each pixel's residual is known, 0 to 1.

    Returns:
        ``[1, 3, H, W]``.
    """
    # Regions that are known by half stay so: what fills them would change from frame to frame.
    unknown = (1 - 2 * known).clamp_min(0)
    sound = (known > _SOUND).to(known.dtype)
    residual = residual.clone()
    for down, right in _FROM:
        if float(unknown.mean()) < _FILLED:
            break
        there, here = _overlap(down, right, residual)
        share = unknown[here] * sound[there]
        residual[here] += share * residual[there]
        unknown[here] -= share * known[there]
    return residual


def _overlap(
    down: int, right: int, image: Tensor
) -> tuple[tuple[EllipsisType, slice, slice], tuple[EllipsisType, slice, slice]]:
    """Give what selects the ground that is moved, and the ground it comes to lie on."""

    def pair(by: int, length: int) -> tuple[slice, slice]:
        by = max(-length, min(by, length))
        here = slice(max(0, by), length + min(0, by))
        return slice(here.start - by, here.stop - by), here

    rows, columns = pair(down, image.shape[-2]), pair(right, image.shape[-1])
    return (..., rows[0], columns[0]), (..., rows[1], columns[1])


def remember(
    state: DreamState | None,
    motion: Motion,
    index: int,
    source: Tensor,
    dream: Tensor,
    memo: Memo,
    slots: int,
) -> DreamState:
    """Make the state that a frame leaves.

    Args:
        state: what the previous frame left; None at the first frame and after a cut.
        motion: of this frame; says whether it is kept for long.
        index: number of the frame.
        source: the frame, ``[1, 3, H, W]``.
        dream: its dream, likewise.
        memo: what the processor left.
        slots: how many older frames are kept.
    """
    memory = state.memory if state is not None else ()
    if motion.keep:
        kept = Memory(index, (dream - source).to(torch.float16))
        memory = (kept, *memory)[:slots]
    return DreamState(index, source, dream, memory, memo)
