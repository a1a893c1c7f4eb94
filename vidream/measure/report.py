"""The result of a measurement: one record for each frame, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from vidream.measure.quantities import Look, trend

SETTLED = 30
"""Frame from which drift is counted: a carried dream takes about a second to settle."""

NOTHING = 1e-8
"""A warping error that is none: what positions in float32 leave of a perfect match."""

STILL = 2 * (1 / 255) ** 2 / 12
"""The warping error that rounding both frames to 8 bits leaves; what is below moves by nothing."""


@dataclass(frozen=True, slots=True)
class FrameError:
    """The warping error of one frame at one lag.

    Args:
        lag: how many frames earlier the frame is that it is compared with.
        dream: mean squared error of the dream over the reliable pixels, RGB in [0, 1].
        source: likewise of the source: the floor.
        reliable: share of the pixels that are reliable.
    """

    lag: int
    dream: float
    source: float
    reliable: float


@dataclass(frozen=True, slots=True)
class FrameScratch:
    """A frame beside the dream of the same source frame made from scratch.

    Args:
        strength: objective of the dream over that of the from-scratch dream.
        fresh: number of cells of fresh ground.
        fresh_dream: energy of the dream, summed over them.
        fresh_scratch: likewise of the from-scratch dream.
        low: 10th percentile of the dream's local energy over the from-scratch dream's.
    """

    strength: float | None
    fresh: int
    fresh_dream: float
    fresh_scratch: float
    low: float | None


@dataclass(frozen=True, slots=True)
class FrameMeasure:
    """What was measured of one frame.

    Args:
        index: number of the frame, from 0.
        strength: objective of the dream over the source's; None if the source's is 0.
        dream: how the dream looks.
        source: how the source looks.
        errors: warping error at each lag that reaches back to a frame and has reliable pixels.
        scratch: beside a from-scratch dream, on the frames that were so sampled.
    """

    index: int
    strength: float | None
    dream: Look
    source: Look
    errors: tuple[FrameError, ...] = ()
    scratch: FrameScratch | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, least and greatest of a quantity over the clip; None if it was nowhere to be had."""

    mean: float | None
    minimum: float | None
    maximum: float | None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Self:
        """Take the values that are there."""
        there = [value for value in values if value is not None]
        return cls(_mean(there), min(there, default=None), max(there, default=None))


@dataclass(frozen=True, slots=True)
class LagSummary:
    """Warping error at one lag, the mean over the clip.

    Args:
        lag: in frames.
        frames: how many frames it was measured on.
        dream: error of the dream; None if there were none.
        source: error of the source, the floor.
        ratio: dream over source; None where the source's is nothing but rounding.
    """

    lag: int
    frames: int
    dream: float | None
    source: float | None
    ratio: float | None

    @classmethod
    def of(cls, lag: int, frames: Iterable[FrameMeasure]) -> Self:
        """Sum up one lag."""
        errors = [error for frame in frames for error in frame.errors if error.lag == lag]
        dream = _mean([error.dream for error in errors])
        source = _mean([error.source for error in errors])
        return cls(lag, len(errors), dream, source, _over(dream, source, STILL))


@dataclass(frozen=True, slots=True)
class ScratchSummary:
    """The dream beside from-scratch dreams.

    Args:
        frames: how many frames were dreamed from scratch.
        strength: the dream's over the from-scratch dream's.
        evenness: energy on fresh ground over the from-scratch dream's there, pooled over all
            sampled frames; 1 = as deep as if dreamed alone. None without fresh ground.
        fresh: number of cells of fresh ground that this rests on.
        low: 10th percentile of local energy over the from-scratch dream's, mean over the frames.
    """

    frames: int
    strength: Spread
    evenness: float | None
    fresh: int
    low: float | None

    @classmethod
    def of(cls, frames: Iterable[FrameMeasure]) -> Self | None:
        """Sum up the sampled frames; None if there are none."""
        sampled = [frame.scratch for frame in frames if frame.scratch is not None]
        if not sampled:
            return None
        return cls(
            frames=len(sampled),
            strength=Spread.of(s.strength for s in sampled),
            evenness=_over(
                sum(s.fresh_dream for s in sampled), sum(s.fresh_scratch for s in sampled)
            ),
            fresh=sum(s.fresh for s in sampled),
            low=_mean([s.low for s in sampled if s.low is not None]),
        )


@dataclass(frozen=True, slots=True)
class Trends:
    """Slopes per 100 frames of how a clip looks, as fractions of the mean; None if that is 0."""

    brightness: float | None
    contrast: float | None
    saturation: float | None

    @classmethod
    def of(cls, looks: Sequence[tuple[int, Look]]) -> Self:
        """Fit a line to each, through ``(index, look)``."""

        def fit(quantity: Callable[[Look], float]) -> float | None:
            return trend([index for index, _ in looks], [quantity(look) for _, look in looks])

        return cls(
            fit(lambda look: look.brightness),
            fit(lambda look: look.contrast),
            fit(lambda look: look.saturation),
        )


@dataclass(frozen=True, slots=True)
class Drift:
    """Slopes per 100 frames, each as a fraction of the quantity's mean: 0 = it holds.

    Args:
        since: number of the first frame that counts.
        strength: of the strength.
        dream: of how the dream looks.
        source: of how the source looks, which the dream may follow.
    """

    since: int
    strength: float | None
    dream: Trends
    source: Trends

    @classmethod
    def of(cls, frames: Sequence[FrameMeasure]) -> Self:
        """Fit lines from frame :data:`SETTLED` on; to all of a clip of less than twice that."""
        since = SETTLED if len(frames) >= 2 * SETTLED else 0
        settled = frames[since:]
        strengths = [(f.index, f.strength) for f in settled if f.strength is not None]
        return cls(
            since=since,
            strength=trend([index for index, _ in strengths], [value for _, value in strengths]),
            dream=Trends.of([(f.index, f.dream) for f in settled]),
            source=Trends.of([(f.index, f.source) for f in settled]),
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """What a clip comes to.

    Args:
        frames: number of frames measured.
        errors: warping error, by lag.
        strength: objective of the dream over the source's.
        scratch: beside from-scratch dreams; None if there were none.
        drift: slopes over time.
    """

    frames: int
    errors: tuple[LagSummary, ...]
    strength: Spread
    scratch: ScratchSummary | None
    drift: Drift

    @classmethod
    def of(cls, frames: Sequence[FrameMeasure], lags: Iterable[int]) -> Self:
        """Sum up a clip's frames."""
        return cls(
            frames=len(frames),
            errors=tuple(LagSummary.of(lag, frames) for lag in lags),
            strength=Spread.of(frame.strength for frame in frames),
            scratch=ScratchSummary.of(frames),
            drift=Drift.of(frames),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """A measurement: the summary, and the series that it was made from."""

    summary: Summary
    frames: tuple[FrameMeasure, ...] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Give everything as plain dictionaries, lists and numbers, fit for JSON."""
        return {"summary": asdict(self.summary), "frames": [asdict(f) for f in self.frames]}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _over(value: float | None, by: float | None, nothing: float = 0) -> float | None:
    """Divide, if there is something to divide by."""
    if value is None or by is None or abs(by) <= nothing:
        return None
    return value / by
