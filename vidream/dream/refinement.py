"""Refinement of propagated dreams: as strong as from scratch, at a fraction of the steps.

Every step is scaled from place to place by how far the dream there is from the level of a
from-scratch dream (:mod:`vidream.dream.strength`): where it is reached nothing moves, so a still
shot converges, and nothing burns in. A propagated dream loses so little that each frame refines
only a part of itself, in turn. Where the dream is farthest from its level, as in new regions,
windows get further steps.
"""

import math
from dataclasses import dataclass, replace
from itertools import cycle

import torch
from torch import Tensor

from vidream.core.effect import InitImage
from vidream.core.images import Size, resize, size_of
from vidream.dream import strength
from vidream.dream.dreamer import Dreamer
from vidream.dream.refinement_policy import REFINEMENT_POLICY, Shares
from vidream.dream.refinement_step import RefinementStep
from vidream.dream.residual import ResidualStatistics, match_statistics
from vidream.dream.target_strength import Measurement, TargetStrength
from vidream.dream.views import draw_views
from vidream.dream.windows import Window, WindowLimits, feather, strips, windows

_TINY = 1e-6  # keeps a frame that is new as a whole from being divided by nothing


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the refinement of one frame needs throughout."""

    index: int  # decides which part's turn it is
    octaves: tuple[tuple[Size, float], ...]  # from small to large, with the level to come to
    new: Tensor  # [1, 1, H, W], how much newer each pixel is than the rest, 0 to 1
    local: Tensor  # [1, 1, H, W], target of each pixel over the level at full size
    evenly_new: float  # how much of every pixel is new, where coherence is less than 1
    hold: float  # steps that places above their level take at once at full size
    step: RefinementStep

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return size_of(self.new)

    def goal(
        self, shares: Shares = (1.0, 1.0), window: Window | None = None, octave: int = -1
    ) -> Tensor:
        """Return shares of the target of each pixel, ``[1, 1, H, W]``, by how new it is."""
        of = ... if window is None else window.of
        propagated, at_new = shares
        due = propagated + (at_new - propagated) * self.new[of]
        return self.octaves[octave][1] * self.local[of] * due


@dataclass(frozen=True, slots=True)
class Refiner:
    """Brings propagated dreams to the strength of dreams from scratch, by a dreamer's settings."""

    dreamer: Dreamer

    def measure(self, dream: Tensor, source: Tensor) -> TargetStrength:
        """Measure a from-scratch dream of a frame, ``[1, 3, H, W]`` each, as a target for later."""
        image = dream.to(self.dreamer.device)
        sizes = self.dreamer.octave_sizes(size_of(dream))
        # Seen as its last step saw it, a dream is stronger than as any other step will.
        views = draw_views(self.dreamer.settings, 0, REFINEMENT_POLICY.level_views)
        levels, seen = [], []
        for size in sizes:
            seen = [self.dreamer.cells(resize(image, size), view) for view in views]
            levels.append(sum(strength.level(cells, size) for cells in seen) / len(seen))
        mean = sum(float(cells.mean()) for cells in seen) / len(seen)
        local = torch.stack([strength.local_level(cells, sizes[-1]) for cells in seen]).mean(0)
        local = resize(local / max(levels[-1], _TINY), size_of(dream)).clamp_min(_TINY)
        residual = ResidualStatistics.of(dream - source)
        return TargetStrength(tuple(levels), residual, mean, local=local)

    @torch.inference_mode(False)
    def refine(
        self, init: InitImage, source: Tensor, target: TargetStrength, index: int
    ) -> tuple[Tensor, TargetStrength]:
        """Refine an init image that a dream is propagated to.

        Args:
            init: the image, its ``new_mask``, and what carries the target of each pixel.
            source: the frame, ``[1, 3, H, W]`` in [0, 1].
            target: from :meth:`measure` of the scene's first dream, then from the previous frame.
            index: number of the frame, which seeds the views.

        Returns:
            A new image on the same device, and the target for the next frame.
        """
        assert init.new_mask is not None, "nothing is propagated"
        device = self.dreamer.device
        image, source, new = (x.to(device) for x in (init.image, source, init.new_mask))
        evenly_new = float(new.amin())
        new = (new - evenly_new) / max(1 - evenly_new, _TINY)
        local = torch.ones_like(new)
        if target.local is not None and init.carry is not None:
            local = local.lerp(init.carry(target.local).to(device), 1 - new)
        views = cycle(draw_views(self.dreamer.settings, index, REFINEMENT_POLICY.max_views))
        sizes = self.dreamer.octave_sizes(size_of(image))
        levels = [target.boost * level for level in target.levels]
        frame = _Frame(
            index,
            tuple(zip(sizes, levels, strict=True)),
            new=new,
            local=local,
            evenly_new=evenly_new,
            hold=target.hold,
            step=RefinementStep(self.dreamer, source, views.__next__),
        )
        dream = match_statistics(image, source, target.residual)
        dream = self._at_coarse_octaves(dream, float(init.new_mask.mean()) + evenly_new, frame)
        dream, weak, found = self._at_full_size(dream, frame)
        dream = self._in_windows(dream, weak, frame)
        target = replace(target.after(found), local=local.to(init.image.device))
        return dream.to(init.image.device), target

    def _at_coarse_octaves(self, dream: Tensor, new: float, frame: _Frame) -> Tensor:
        """Refine the whole frame, so much of which is ``new``, at the octaves under its own size.

        One octave every few frames, in turn, is enough while most of the frame is propagated: what
        it brings is not strength, but large shapes in regions that have come into the picture.
        """
        coarse, policy = [*range(len(frame.octaves) - 1)], REFINEMENT_POLICY
        if new > policy.new_frame:
            steps = round(self.dreamer.settings.steps * new * policy.scratch_share)
            turns = coarse * max(1, steps)
        else:
            turn, rest = divmod(frame.index, policy.octave_period)
            turns = [coarse[turn % len(coarse)]] if coarse and not rest else []
        for octave in turns:
            dream, _ = frame.step(dream, frame.octaves[octave][0], frame.goal(octave=octave))
        return dream

    def _at_full_size(self, dream: Tensor, frame: _Frame) -> tuple[Tensor, Tensor, Measurement]:
        """Take steps at full size; for a fraction of a step, on one part of the frame in turn.

        Returns the dream, and from before its last step the deficit of each region,
        ``[1, 1, h, w]``, and the measurement.
        """
        settings, share = self.dreamer.settings, REFINEMENT_POLICY.scratch_share
        steps = settings.refine_steps + settings.steps * frame.evenly_new * share
        parts = self._parts(frame, steps)
        full, cells = frame.octaves[-1][0], None
        for _ in range(math.floor(steps) if parts else math.ceil(steps - _TINY)):
            dream, cells = frame.step(dream, full, frame.goal(), hold=frame.hold)
        if parts:
            return self._in_part(dream, parts, frame)
        if cells is None:
            cells = self.dreamer.cells(resize(dream, full))
        return dream, self._deficit(cells, frame), _measurement(cells, full, frame.local)

    def _in_part(
        self, dream: Tensor, parts: list[Window], frame: _Frame
    ) -> tuple[Tensor, Tensor, Measurement]:
        """Take a step on the part whose turn it is; see :meth:`_at_full_size`."""
        policy = REFINEMENT_POLICY
        turn = frame.index % len(parts)
        part = parts[turn]
        goal = frame.goal((1.0, policy.goal_levels[1]), part)
        step = frame.step.within(part)
        after, cells = step(dream[part.of], part.size, goal, frame.new[part.of], frame.hold)
        weight = feather(part, frame.size, policy.margin, dream.device)
        dream = dream.clone()
        dream[part.of] += (after - dream[part.of]) * weight
        # Elsewhere nothing is measured: what is propagated is taken to be at its level.
        weak = self._deficit(frame.goal((1.0, policy.assumed_level)), frame)
        weak[part.of] = resize(self._deficit(cells, frame, part), part.size)
        local = frame.local[part.of]
        return dream, weak, _measurement(cells, part.size, local, turn, len(parts))

    def _parts(self, frame: _Frame, steps: float) -> list[Window]:
        """Return the parts of a frame that have their turns; none for whole steps."""
        rest = steps % 1
        at_own_size = frame.size == frame.octaves[-1][0]
        if rest < _TINY or not at_own_size or self.dreamer.objective_function.style_losses:
            return []
        parts = strips(frame.size, max(1, round(1 / rest)), REFINEMENT_POLICY.margin // 2)
        least = min(min(part.size) for part in parts)
        return parts if least >= self.dreamer.network.minimum_side else []

    def _deficit(self, cells: Tensor, frame: _Frame, window: Window | None = None) -> Tensor:
        """Return how urgently each region has to grow, 0 to 1, at the size of the cells' grid."""
        if not self.dreamer.objective_function.terms:
            # A style is a matter of all of a frame at once: what lacks it is what is new.
            return frame.new if window is None else frame.new[window.of]
        if frame.octaves[-1][1] <= 0:
            return torch.zeros_like(cells)
        return strength.deficit(cells, frame.goal(REFINEMENT_POLICY.weak_levels, window))

    def _in_windows(self, image: Tensor, weak: Tensor, frame: _Frame) -> Tensor:
        """Take further steps at full size in windows over the regions with the largest deficit."""
        policy, steps, size = REFINEMENT_POLICY, self.dreamer.settings.weak_steps, frame.size
        level, minimum = frame.octaves[-1][1], self.dreamer.network.minimum_side
        if not steps or level <= 0 or min(size) < minimum:
            return image
        found = self._windows(weak, size)
        weights = [feather(window, size, policy.margin, image.device) for window in found]
        total = torch.zeros_like(image[:, :1])
        for window, weight in zip(found, weights, strict=True):
            total[window.of] += weight
        result = image.clone()
        for first in range(0, len(found), policy.window_batch):
            batch = slice(first, first + policy.window_batch)
            gains = torch.split(self._gained(image, found[batch], frame), 1)
            for window, weight, gained in zip(found[batch], weights[batch], gains, strict=True):
                # Where margins overlap each window brings its share.
                result[window.of] += gained * weight / total[window.of].clamp_min(1)
        return result.clamp_(0, 1)

    def _windows(self, weak: Tensor, size: Size) -> list[Window]:
        policy = REFINEMENT_POLICY
        side = max(policy.window_side, self.dreamer.network.minimum_side)
        count = max(1, round(policy.window_share * size[0] * size[1] / policy.window_side**2))
        return windows(weak, size, WindowLimits(side, policy.margin, count, policy.min_deficit))

    def _gained(self, image: Tensor, batch: list[Window], frame: _Frame) -> Tensor:
        """Return what further steps add to windows, ``[B, 3, h, w]``."""
        policy, steps = REFINEMENT_POLICY, self.dreamer.settings.weak_steps
        before, new, source = (
            torch.cat([part[window.of] for window in batch])
            for part in (image, frame.new, frame.step.source)
        )
        step = replace(frame.step, source=source)
        goal = torch.cat([frame.goal(policy.goal_levels, window) for window in batch])
        after = before
        for _ in range(min(steps, math.ceil(steps * policy.full_windows / len(batch)))):
            after, _ = step(after, batch[0].size, goal, new)
        return after - before


def _measurement(
    cells: Tensor, size: Size, local: Tensor, part: int = 0, parts: int = 1
) -> Measurement:
    level = strength.level(cells, size) / float(local.log().mean().exp())
    return Measurement(level, float(cells.mean()), part, parts)
