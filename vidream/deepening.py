"""Deepening a carried dream: as deep as a dream from scratch, at a fraction of its steps.

Ground that carries a dream needs little; ground that comes new into the frame needs the octaves.
Every step is scaled from place to place by how far the dream there is from the level of a
from-scratch dream (:mod:`vidream.strength`): where it is reached nothing moves, so a still shot
converges, and nothing burns in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import cycle

import torch.nn.functional as F
from torch import Tensor

from vidream import octaves, strength
from vidream.crops import Box, crops
from vidream.dreamer import Dreamer
from vidream.octaves import Size

_BEFORE = 0.9  # of the level, before the step at full size: the step brings the rest
_PATIENCE = 0.15  # share of a lack of strength that is made up for at the next frame
_MOST_PUSH = 1.5  # how far above the level a dream may be driven that loses so much on its way


@dataclass(frozen=True, slots=True)
class Depth:
    """How deep the dreams of a scene are to be: the memory of the controller.

    Args:
        levels: the level of a from-scratch dream at each octave, from small to large.
        push: factor on the levels, 1 to 1.5. Motion and masks take something from every carried
            dream, more in one clip than in another: the push is what it takes to make up for it.
    """

    levels: tuple[float, ...]
    push: float = 1.0

    def after(self, found: float) -> Depth:
        """Give the next frame's, after a level was ``found`` before the full-size step."""
        if found <= 0 or self.levels[-1] <= 0:
            return self
        push = self.push * (_BEFORE * self.levels[-1] / found) ** _PATIENCE
        return Depth(self.levels, min(max(push, 1.0), _MOST_PUSH))


_UNIT = 16  # pixels to a cell when fresh ground is gathered into crops
_MARGIN = 32  # pixels of context around fresh ground
_BUDGET = 0.6  # steps on the whole frame that crops of fresh ground may cost in all
_NEW = 0.5  # newness from which a cell counts as fresh ground
_WHOLE = 0.5  # share of the frame from which crops cost more than they save
_MUCH = 0.2  # mean newness from which the whole frame is dreamed at all octaves


@dataclass(frozen=True, slots=True)
class Deepener:
    """Brings carried dreams to the level of dreams from scratch.

    Args:
        dreamer: takes the gradients; its settings say how many steps there are at most.
    """

    dreamer: Dreamer

    def depth(self, dream: Tensor) -> Depth:
        """Measure a from-scratch dream, ``[1, 3, H, W]``: what later frames are held to."""
        image = dream.to(self.dreamer.device)
        sizes = self.dreamer.octave_sizes((dream.shape[-2], dream.shape[-1]))
        return Depth(
            tuple(
                strength.level(self.dreamer.cells(octaves.resize(image, size)), size)
                for size in sizes
            )
        )

    def deepen(
        self, image: Tensor, fresh: Tensor, depth: Depth, *, frame: int
    ) -> tuple[Tensor, Depth]:
        """Deepen a start image.

        Args:
            image: float ``[1, 3, H, W]`` in [0, 1].
            fresh: ``[1, 1, H, W]``: how much of each pixel is new, 0 to 1.
            depth: to come to; of the scene's first dream from :meth:`depth`, then what the
                previous frame gave.
            frame: index of the frame, which seeds the jitter.

        Returns:
            A new float32 tensor of the same shape, in [0, 1], on the same device; and the depth
            for the next frame.
        """
        settings = self.dreamer.settings
        dream = image.to(self.dreamer.device)
        fresh = fresh.to(self.dreamer.device)
        size = (image.shape[-2], image.shape[-1])
        boxes = self._boxes(fresh, size)
        share = sum(box.area for box in boxes) / (size[0] * size[1])
        shifts = _Shifts(settings.seed, frame, settings.jitter)
        sizes = self.dreamer.octave_sizes(size)
        levels = tuple(depth.push * level for level in depth.levels)
        new = float(fresh.mean())
        if share > _WHOLE or new > _MUCH:
            sweeps = max(1, round(settings.steps * new / 2))
            for _ in range(min(sweeps, settings.fresh_steps)):
                for octave, level in zip(sizes[:-1], levels[:-1], strict=True):
                    dream = self._at(dream, octave, level, shifts)
        else:
            if boxes:
                whole = sum(math.prod(s) for s in sizes) / math.prod(size)
                sweeps = max(1, min(settings.fresh_steps, int(_BUDGET / (share * whole))))
                for box in boxes:
                    dream = self._crop(dream, fresh, box, levels, sweeps, shifts)
            coarse = frame % max(1, len(sizes) - 1)
            dream = self._at(dream, sizes[coarse], levels[coarse], shifts)
        for _ in range(settings.carried_steps):
            dream, cells = self._step(dream, sizes[-1], levels[-1], shifts)
            depth = depth.after(strength.level(cells, sizes[-1]))
        return dream.to(image.device), depth

    def _boxes(self, fresh: Tensor, size: Size) -> list[Box]:
        if self.dreamer.settings.fresh_steps == 0:
            return []
        cells = F.avg_pool2d(fresh, _UNIT, ceil_mode=True, count_include_pad=False)
        mask = (cells[0, 0] > _NEW).cpu().numpy()
        return crops(mask, _UNIT, size, _MARGIN, max(96, self.dreamer.network.minimum_side))

    def _crop(
        self,
        image: Tensor,
        fresh: Tensor,
        box: Box,
        levels: tuple[float, ...],
        sweeps: int,
        shifts: _Shifts,
    ) -> Tensor:
        """Dream the fresh ground inside a rectangle, octave by octave, and feather it in."""
        rows, columns = box.slices
        ground = image[..., rows, columns]
        weight = fresh[..., rows, columns]
        dream = ground
        least = self.dreamer.network.minimum_side
        scales = [self.dreamer.settings.octave_scale**-k for k in range(len(levels))][::-1]
        for scale, level in zip(scales, levels, strict=True):
            octave = (round(box.size[0] * scale), round(box.size[1] * scale))
            if min(octave) < least:
                continue
            for _ in range(sweeps):
                dream, _ = self._step(dream, octave, level, shifts, weight)
        result = image.clone()
        result[..., rows, columns] = dream
        return result

    def _at(self, image: Tensor, octave: Size, level: float, shifts: _Shifts) -> Tensor:
        """Take one step at an octave."""
        return self._step(image, octave, level, shifts)[0]

    def _step(
        self,
        image: Tensor,
        octave: Size,
        level: float,
        shifts: _Shifts,
        weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Take one step at an octave and bring its detail to the image's own size.

        Returns:
            The image, and the energy of each cell before the step.
        """
        small = octaves.resize(image, octave)
        settings, by = self.dreamer.settings, shifts.next(octave)
        slope = self.dreamer.slope(octaves.shift(small, by))
        gain = octaves.unshift(strength.gain(slope.cells, level, octave), by)
        gradient = octaves.smooth(octaves.unshift(slope.gradient, by), settings.smoothing)
        step = gain * octaves.normalize_locally(gradient, settings.normalize)
        detail = octaves.resize(settings.step_size * step, (image.shape[-2], image.shape[-1]))
        return (image + (detail if weight is None else weight * detail)).clamp_(0, 1), slope.cells


class _Shifts:
    """The jitter of one frame, drawn step by step."""

    def __init__(self, seed: int, frame: int, reach: int) -> None:
        self._drawn = cycle(octaves.jitter_shifts(seed, frame, 1024, reach))

    def next(self, size: Size) -> Size:
        """Give the next shift, within the image."""
        down, right = next(self._drawn)
        return down % size[0], right % size[1]
