"""The dreamer for live pictures: no frame takes much longer than the others."""

import math
import time
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from vidream.core.effect import Context, InitImage, Resources, State
from vidream.core.images import Size, size_of
from vidream.core.settings import Settings
from vidream.dream.refinement import Refiner
from vidream.dream.target_strength import TargetStrength
from vidream.effects.dream import DreamEffect

_PATIENCE = 5.0  # seconds from one dream from scratch to the next


class LiveDream(DreamEffect):
    """Dreams live frames; raises as :class:`DreamEffect`.

    A scene that begins soon after another gets a shallow dream, which the next frames deepen: only
    the first of them is dreamed from scratch, and says how strong the others are to be.

    Attributes:
        depth: energy over that of a dream from scratch.
    """

    deepens = True

    def __init__(
        self,
        settings: Settings,
        resources: Resources,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(settings, resources)
        self.depth = 1.0
        self._clock = clock
        self._measured: tuple[Size, float, TargetStrength] | None = None

    def step(
        self, init: InitImage, frame: Tensor, context: Context, state: State
    ) -> tuple[Tensor, State]:
        """Dream a frame, or refine the dream propagated to it; raises as before."""
        dreamer = self._guided_by(context.guide).at(context.settings.dream)
        begins = init.new_mask is None
        target = self._known(size_of(frame), begins=begins)
        if target is None:
            dream = dreamer.dream(frame, frame=context.index)
            target = Refiner(dreamer).measure(dream, frame)
            self._measured = size_of(frame), self._clock(), target
            return dream, target.state
        if begins:
            return dreamer.dream(frame, frame=context.index, steps=1), target.state
        own = TargetStrength.from_state(state) if state else target
        steps = _whole_steps(context.settings.dream.refine_steps, context.index)
        if not steps and state:
            return init.image, _carried(init, own).state
        refiner = Refiner(dreamer.at(replace(context.settings.dream, refine_steps=steps)))
        goal = own.deepened(target, self.depth)
        dream, after = refiner.refine(init, frame, goal, context.index)
        return dream, after.state

    def _known(self, size: Size, *, begins: bool) -> TargetStrength | None:
        """Return the strength to come to; None if it is time to measure it."""
        if self._measured is None or self._measured[0] != size:
            return None
        _, measured, target = self._measured
        return None if begins and self._clock() - measured > _PATIENCE else target


def _whole_steps(steps: float, index: int) -> int:
    """Return the steps of a frame, of which each has ``steps`` on average."""
    return math.floor((index + 1) * steps) - math.floor(index * steps)


def _carried(init: InitImage, target: TargetStrength) -> TargetStrength:
    if target.local is None or init.carry is None:
        return target
    return replace(target, local=init.carry(target.local))
