"""The strength that the dreams of a scene should have, and its controllers."""

import math
from dataclasses import astuple, dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from vidream.core.effect import State
from vidream.dream.residual import ResidualStatistics


@dataclass(frozen=True, slots=True)
class ControlPolicy:
    """Constants of the controllers, tuned on the first frames of bigbuckbunny and bikes."""

    boost_rate: float = 0.25  # share of a change of the boost that the next frame makes
    boost_power: float = 4.0  # of the missing strength
    min_boost: float = 0.8  # under 1, for steps go one way, up to the target, as views vary
    max_boost: float = 1.5
    hold_rate: float = 0.25  # share of a loss of mean energy by which the hold grows
    max_hold: float = 0.7


CONTROL_POLICY = ControlPolicy()

_NUMBERS = ("levels", "residual", "mean", "boost", "hold", "part_means")  # kept in float64


@dataclass(frozen=True, slots=True)
class Measurement:
    """The strength of a part of a frame, before its step at full size."""

    level: float  # over the mean of its target there
    mean: float  # energy
    part: int = 0
    parts: int = 1


@dataclass(frozen=True, slots=True)
class TargetStrength:
    """The strength of a scene's first dream, and what keeps the next ones at it."""

    levels: tuple[float, ...]  # at each octave, from small to large
    residual: ResidualStatistics = field(default_factory=ResidualStatistics)
    mean: float = 0.0  # its mean energy at full size
    boost: float = 1.0  # factor on the levels, 0.8 to 1.5, for what motion takes and views add
    hold: float = 0.0  # step of regions above their level: what stands out fades otherwise
    part_means: tuple[float, ...] = ()  # mean energy of each part, as last measured
    # Target of each pixel over the last level, [1, 1, H, W]: 1 everywhere without.
    local: Tensor | None = field(default=None, repr=False)

    def after(self, measured: Measurement) -> Self:
        """Return the next frame's target, after a measurement."""
        policy = CONTROL_POLICY
        if measured.level <= 0 or self.levels[-1] <= 0:
            return self
        # Proportional to what is missing now: an integral would overshoot.
        boost = min(
            max((self.levels[-1] / measured.level) ** policy.boost_power, policy.min_boost),
            policy.max_boost,
        )
        boost = self.boost + policy.boost_rate * (boost - self.boost)
        if self.mean <= 0:
            return replace(self, boost=boost)
        count = measured.parts
        means = list(self.part_means if len(self.part_means) == count else (self.mean,) * count)
        means[measured.part] = measured.mean
        lost = 1 - sum(means) / (count * self.mean)
        hold = min(max(self.hold + policy.hold_rate * lost, 0.0), policy.max_hold)
        return replace(self, boost=boost, hold=hold, part_means=tuple(means))

    @property
    def reached(self) -> float:
        """Mean energy at full size, as last measured, over that of a dream from scratch."""
        if not self.part_means or self.mean <= 0:
            return 1.0
        return sum(self.part_means) / (len(self.part_means) * self.mean)

    def deepened(self, base: Self, depth: float) -> Self:
        """Return the target of ``depth`` times the energy of a dream from scratch, ``base``."""
        return replace(
            self,
            levels=tuple(depth * level for level in base.levels),
            mean=depth * base.mean,
            # Energy grows with the square of what is added.
            residual=base.residual.scaled(math.sqrt(depth)),
        )

    @property
    def state(self) -> State:
        """The same as float64 tensors on the CPU, and the map."""
        values = {name: getattr(self, name) for name in _NUMBERS}
        values["residual"] = astuple(self.residual)
        state = {name: torch.tensor(v, dtype=torch.float64) for name, v in values.items()}
        return state if self.local is None else {**state, "local": self.local}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Read a :attr:`state`."""
        values = {name: tuple(state[name].flatten().tolist()) for name in _NUMBERS}
        (mean,), (boost,), (hold,) = values["mean"], values["boost"], values["hold"]
        residual = ResidualStatistics(*values["residual"])
        return cls(
            values["levels"], residual, mean, boost, hold, values["part_means"], state.get("local")
        )
