"""The strength that the dreams of a scene should have, and its controllers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch

from vidream.core.effect import State
from vidream.dream.residual import ResidualStatistics

# Constants of the controllers, tuned on the first frames of bigbuckbunny and bikes.
MAX_BOOST = 1.5
MAX_HOLD = 0.7
_BOOST_RATE = 0.25  # share of a change of the boost that the next frame makes
_BOOST_POWER = 4.0  # of the missing strength
_MARGIN = 1.1  # of the level that a dream should have before its step at full size
_HOLD_RATE = 0.25  # share of a loss of mean energy by which the hold grows


@dataclass(frozen=True, slots=True)
class Measurement:
    """The strength of a part of a frame, before its step at full size."""

    level: float
    mean: float  # energy
    part: int = 0
    parts: int = 1


@dataclass(frozen=True, slots=True)
class TargetStrength:
    """The strength of a scene's first dream, and the controls that keep the next ones at it."""

    levels: tuple[float, ...]  # at each octave, from small to large
    residual: ResidualStatistics = field(default_factory=ResidualStatistics)
    mean: float = 0.0  # energy at full size
    boost: float = 1.0  # factor on the levels, 1 to 1.5, for what motion and masks take from dreams
    hold: float = 0.0  # step of regions above their level, which would fade
    part_means: tuple[float, ...] = ()  # energy of each part when it was last measured

    def after(self, measured: Measurement) -> TargetStrength:
        """Return the next frame's target, after a measurement."""
        if measured.level <= 0 or self.levels[-1] <= 0:
            return self
        # Proportional to what is missing now: an integral would overshoot.
        boost = (_MARGIN * self.levels[-1] / measured.level) ** _BOOST_POWER
        boost = self.boost + _BOOST_RATE * (min(max(boost, 1.0), MAX_BOOST) - self.boost)
        if self.mean <= 0:
            return replace(self, boost=boost)
        count = measured.parts
        means = list(self.part_means if len(self.part_means) == count else (self.mean,) * count)
        means[measured.part] = measured.mean
        lost = 1 - sum(means) / (count * self.mean)
        hold = min(max(self.hold + _HOLD_RATE * lost, 0.0), MAX_HOLD)
        return replace(self, boost=boost, hold=hold, part_means=tuple(means))

    @property
    def state(self) -> State:
        """The same as float64 tensors on the CPU."""
        residual = self.residual.light, self.residual.colour
        values = {name: getattr(self, name) for name in self.__slots__} | {"residual": residual}
        return {name: torch.tensor(v, dtype=torch.float64) for name, v in values.items()}

    @classmethod
    def from_state(cls, state: State) -> TargetStrength:
        """Read a :attr:`state`."""
        values = {name: tuple(state[name].flatten().tolist()) for name in cls.__slots__}
        (mean,), (boost,), (hold,) = values["mean"], values["boost"], values["hold"]
        residual = ResidualStatistics(*values["residual"])
        return cls(values["levels"], residual, mean, boost, hold, values["part_means"])
