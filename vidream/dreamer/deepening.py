"""Deepening a carried dream: as deep as a dream from scratch, at a fraction of its steps.

Ground that carries a dream needs little; ground that is new, or moves too fast to be followed,
needs more. Every step is scaled from place to place by how far the dream there is from the level
of a from-scratch dream (:mod:`vidream.dreamer.strength`): where it is reached nothing moves, so a
still shot converges, and nothing burns in. Where it is farthest from it, windows get further
steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import cycle

import torch
from torch import Tensor

from vidream.dreamer import octaves, strength
from vidream.dreamer.balance import Spread, held
from vidream.dreamer.dreamer import Dreamer
from vidream.dreamer.precondition import precondition
from vidream.dreamer.transforms import View, draw_views
from vidream.dreamer.windows import feather, windows
from vidream.images import Size, resize

_PATIENCE = 0.15  # share of a lack of strength that is made up for at the next frame
_BEFORE = 0.9  # of the level, before the step at full size: the step brings the rest
_MOST_PUSH = 1.5  # how far above the level a dream may be driven that loses so much on its way
_MUCH = 0.2  # newness from which the whole frame is dreamed at all octaves
_LEAST = 1e-6  # keeps ground that is new as a whole from being divided by nothing

_VIEWS = 128  # that are drawn for a frame; should it take more steps they come again
_TURN = 2  # every how many frames a coarser octave has its turn

_SIDE = 160  # pixels of a window; a batch of this size costs least for each pixel
_BATCH = 4  # windows that are dreamed side by side
_FEW = 2  # of them that get all of their steps: more share as many between them
_MARGIN = 32  # pixels of context around what a window deepens
_SHARE = 0.45  # of the frame that windows cover at most
_LACKING = 600  # pixels' worth of lack from which a window is worth its steps
_LONGER = 2.0  # how much longer steps may be on new ground: there is nothing to hold still

# Shares of the level on ground that is carried, and on ground that is new. New ground lies along
# outlines, where dreams from scratch are strongest, up to twice the level.
_WEAK = (0.6, 3.5)  # under which it lacks something
_GOAL = (1.3, 2.0)  # to come to in windows: what is weak loses most until the next frame


@dataclass(frozen=True, slots=True)
class Depth:
    """How deep the dreams of a scene are to be: the memory of the controllers.

    Args:
        levels: the level of a from-scratch dream at each octave, from small to large.
        spread: light and colour of its residual.
        push: factor on the levels, 1 to 1.5. Motion and masks take something from every carried
            dream, more in one clip than in another: the push is what it takes to make up for it.
    """

    levels: tuple[float, ...]
    spread: Spread = field(default_factory=Spread)
    push: float = 1.0

    def after(self, found: float) -> Depth:
        """Give the next frame's, after a level was ``found`` before the full-size step."""
        if found <= 0 or self.levels[-1] <= 0:
            return self
        push = self.push * (_BEFORE * self.levels[-1] / found) ** _PATIENCE
        return replace(self, push=min(max(push, 1.0), _MOST_PUSH))

    @property
    def memo(self) -> tuple[float, ...]:
        """The same as plain numbers; :meth:`recall` reads them."""
        return (self.push, self.spread.light, self.spread.colour, *self.levels)

    @classmethod
    def recall(cls, memo: tuple[float, ...]) -> Depth:
        """Read a :attr:`memo`."""
        push, light, colour, *levels = memo
        return cls(tuple(levels), Spread(light, colour), push)


@dataclass(frozen=True, slots=True)
class Deepener:
    """Brings carried dreams to the level of dreams from scratch.

    Args:
        dreamer: takes the gradients; its settings say how many steps there are.
    """

    dreamer: Dreamer

    def depth(self, dream: Tensor, source: Tensor) -> Depth:
        """Measure a from-scratch dream, ``[1, 3, H, W]``: what later frames are held to."""
        image = dream.to(self.dreamer.device)
        sizes = self.dreamer.octave_sizes((dream.shape[-2], dream.shape[-1]))
        levels = (strength.level(self.dreamer.cells(resize(image, size)), size) for size in sizes)
        return Depth(tuple(levels), Spread.of(dream - source))

    def deepen(
        self, image: Tensor, source: Tensor, fresh: Tensor, depth: Depth, *, frame: int
    ) -> tuple[Tensor, Depth]:
        """Deepen a start image.

        Args:
            image: float ``[1, 3, H, W]`` in [0, 1].
            source: the frame itself, likewise.
            fresh: ``[1, 1, H, W]``: how much of each pixel is new, 0 to 1.
            depth: to come to; of the scene's first dream from :meth:`depth`, then what the
                previous frame gave.
            frame: index of the frame, which seeds the views.

        Returns:
            A new float32 tensor of the same shape, in [0, 1], on the same device; and the depth
            for the next frame.
        """
        settings = self.dreamer.settings
        device = self.dreamer.device
        start, source, fresh = image.to(device), source.to(device), fresh.to(device)
        views = draw_views(settings, frame, _VIEWS)
        step = _Stepper(self.dreamer, source, cycle(views).__next__)
        levels = tuple(depth.push * level for level in depth.levels)
        dream = held(start, source, depth.spread)
        # Where coherence is less than whole all of the frame is new by that much.
        bare = float(fresh.amin())
        newer = (fresh - bare) / max(1 - bare, _LEAST)
        dream = self._broadly(dream, float(fresh.mean()) + bare, levels, step, frame)
        cells = None
        full = self.dreamer.octave_sizes(step.size(dream))[-1]
        for _ in range(settings.carried_steps + round(settings.steps * bare / 2)):
            dream, cells = step(dream, full, levels[-1])
        if cells is None:
            cells = self.dreamer.cells(resize(dream, full))
        depth = depth.after(strength.level(cells, full))
        dream = self._where_weak(dream, newer, cells, levels[-1], step)
        return dream.to(image.device), depth

    def _broadly(
        self, dream: Tensor, new: float, levels: tuple[float, ...], step: _Stepper, frame: int
    ) -> Tensor:
        """Deepen the whole frame, so much of which is ``new``, at the octaves under its own size.

        One octave every other frame, in turn, is enough while most of the ground is carried: what
        it brings is not strength, but large shapes on ground that has come into the picture.
        """
        smaller = list(zip(self.dreamer.octave_sizes(step.size(dream)), levels, strict=True))[:-1]
        if new > _MUCH:
            turns = smaller * max(1, round(self.dreamer.settings.steps * new / 2))
        else:
            turn, rest = divmod(frame, _TURN)
            turns = [smaller[turn % len(smaller)]] if smaller and not rest else []
        for octave, level in turns:
            dream, _ = step(dream, octave, level)
        return dream

    def _where_weak(
        self, image: Tensor, fresh: Tensor, cells: Tensor, level: float, step: _Stepper
    ) -> Tensor:
        """Take further steps at full size in windows over the ground that lacks most.

        Args:
            image: ``[1, 3, H, W]``.
            fresh: how much newer each pixel is than the rest, ``[1, 1, H, W]``.
            cells: energy of each cell before the last step, ``[1, 1, h, w]``.
            level: to come to.
            step: takes a step.
        """
        steps, size = self.dreamer.settings.weak_steps, step.size(image)
        if not steps or level <= 0 or min(size) < self.dreamer.network.minimum_side:
            return image
        if self.dreamer.aim.terms:
            lack = strength.lack(cells, level * _between(_WEAK, fresh))
        else:
            # A style is told of all of a frame at once: what lacks it is what is new.
            lack = fresh
        most = max(1, round(_SHARE * size[0] * size[1] / _SIDE**2))
        side = max(_SIDE, self.dreamer.network.minimum_side)
        found = windows(lack, size, side, _MARGIN, most, _LACKING)
        weights = [feather(window, size, _MARGIN, image.device) for window in found]
        total = torch.zeros_like(image[:, :1])
        for window, weight in zip(found, weights, strict=True):
            total[window.of] += weight
        result = image.clone()
        for first in range(0, len(found), _BATCH):
            batch = slice(first, first + _BATCH)
            before = torch.cat([image[window.of] for window in found[batch]])
            new = torch.cat([fresh[window.of] for window in found[batch]])
            after = before
            beside = torch.cat([step.source[window.of] for window in found[batch]])
            here = replace(step, source=beside)
            goal = level * _between(_GOAL, new)
            for _ in range(min(steps, math.ceil(steps * _FEW / len(before)))):
                after, _ = here(after, step.size(before), goal, new)
            gains = torch.split(after - before, 1)
            for window, weight, gained in zip(found[batch], weights[batch], gains, strict=True):
                # Where margins overlap each window brings its share.
                result[window.of] += gained * weight / total[window.of].clamp_min(1)
        return result.clamp_(0, 1)


def _between(shares: tuple[float, float], fresh: Tensor) -> Tensor:
    """Give what is due to each pixel from what is due to carried and to new ground."""
    carried, new = shares
    return carried + (new - carried) * fresh


@dataclass(frozen=True, slots=True)
class _Stepper:
    """Takes the steps of one frame, each with a view of its own.

    Args:
        dreamer: gives the slopes.
        source: the frame, or parts of it, of the shape of the images: what their content is.
        next_view: gives the view.
    """

    dreamer: Dreamer
    source: Tensor
    next_view: Callable[[], View]

    @property
    def step_size(self) -> float:
        """Between the first and the last of a dream from scratch, which is half way done."""
        settings = self.dreamer.settings
        return settings.step_size * math.sqrt(settings.anneal)

    @staticmethod
    def size(image: Tensor) -> Size:
        """Give the height and width."""
        return image.shape[-2], image.shape[-1]

    def __call__(
        self, image: Tensor, octave: Size, level: float | Tensor, fresh: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Take one step at an octave and bring its detail to the images' own size.

        Args:
            image: ``[B, 3, H, W]``.
            octave: size to take the step at.
            level: to come to at this octave; for each pixel, ``[B, 1, H, W]``, or for all.
            fresh: how much of each pixel is new, ``[B, 1, H, W]``, at the octave's size; on new
                ground the step may be longer.

        Returns:
            The images, and the energy of each cell before the step, ``[B, 1, h, w]``.
        """
        settings = self.dreamer.settings
        small = resize(image, octave)
        view = self.next_view()
        beside = resize(self.source, octave) if self.dreamer.aim.content else None
        slope = self.dreamer.slope(small, beside, view)
        longest = strength.MOST + (0 if fresh is None else _LONGER)
        gain = view.locate(strength.gain(slope.cells, level, view.size(octave), longest))
        if fresh is not None:
            gain = gain.minimum(strength.MOST + _LONGER * fresh)
        gradient = precondition(slope.gradient, settings)
        if self.dreamer.aim.terms:
            step = gain * octaves.normalize_locally(gradient, settings.normalize)
        else:
            # What is told of all of a frame has steep places and level ones.
            step = gain * octaves.normalize(gradient, settings.normalize)
        detail = resize(self.step_size * step, self.size(image))
        return (image + detail).clamp_(0, 1), view.locate_cells(slope.cells, octave)
