"""The result of a measurement: what the records of the frames come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from vidream.measure.quantities import Look, Residual, trend
from vidream.measure.records import FrameMeasure
from vidream.measure.true_motion import REGIONS, TrueError

SETTLED = 30
"""Frame from which drift is counted: a carried dream takes about a second to settle."""

NOTHING = 1e-8
"""A warping error that is none: what positions in float32 leave of a perfect match."""

LEAST_PIXELS = 500
"""How many pixels a region must have over the whole clip for an error by true motion."""

STILL = 2 * (1 / 255) ** 2 / 12
"""The warping error that rounding both frames to 8 bits leaves; what is below moves by nothing."""


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
class TrueSummary:
    """Warping error by true motion at one lag in one region, the mean over all its pixels.

    Args:
        lag: in frames.
        region: one of :data:`~vidream.measure.true_motion.REGIONS`.
        dream: error of the dream; None on fewer than :data:`LEAST_PIXELS`.
        source: error of the source, the floor.
        ratio: dream over source; None where the source's is nothing but rounding.
        share: of all pixels that show the same thing in both frames, those of the region.
    """

    lag: int
    region: str
    dream: float | None
    source: float | None
    ratio: float | None
    share: float

    @classmethod
    def of(cls, errors: Sequence[TrueError], lags: Iterable[int]) -> tuple[Self, ...]:
        """Sum up the errors of frames, at each lag in each region that there is, in their order."""
        there = {error.region for error in errors}
        regions = [region for region in REGIONS if region in there]
        return tuple(cls._of(lag, region, errors) for lag in lags for region in regions)

    @classmethod
    def _of(cls, lag: int, region: str, errors: Iterable[TrueError]) -> Self:
        near = [error for error in errors if error.lag == lag]
        mine = [error for error in near if error.region == region]
        pixels = sum(error.pixels for error in mine)
        every = sum(error.pixels for error in near if error.region == "all")
        dream = source = None
        if pixels >= LEAST_PIXELS:
            dream = sum(error.dream * error.pixels for error in mine) / pixels
            source = sum(error.source * error.pixels for error in mine) / pixels
        return cls(lag, region, dream, source, _over(dream, source, STILL), pixels / max(1, every))


@dataclass(frozen=True, slots=True)
class ResidualSummary:
    """How what the dream adds looks, over the clip.

    Args:
        chroma: energy of its colour over that of its brightness.
        fine: share of its energy above an eighth of a cycle a pixel.
        rms: its root mean square.
    """

    chroma: Spread
    fine: Spread
    rms: Spread

    @classmethod
    def of(cls, frames: Iterable[FrameMeasure]) -> Self:
        """Sum up a clip's frames."""
        found = [frame.residual for frame in frames if frame.residual is not None]

        def spread(quantity: Callable[[Residual], float | None]) -> Spread:
            return Spread.of(quantity(residual) for residual in found)

        return cls(spread(lambda r: r.chroma), spread(lambda r: r.fine), spread(lambda r: r.rms))


@dataclass(frozen=True, slots=True)
class RecognitionSummary:
    """How much of a group of classes an independent classifier sees, the mean over the frames.

    Args:
        frames: how many frames it looked at.
        dream: mean probability of the group in crops of the dream.
        source: likewise of the source.
    """

    frames: int
    dream: float
    source: float

    @classmethod
    def of(cls, frames: Iterable[FrameMeasure]) -> Self | None:
        """Sum up the sampled frames; None if there are none."""
        found = [frame.recognition for frame in frames if frame.recognition is not None]
        if not found:
            return None
        count = len(found)
        dream, source = sum(f.dream for f in found), sum(f.source for f in found)
        return cls(count, dream / count, source / count)


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
        residual: how what the dream adds looks.
        true_errors: warping error by true motion, by lag and region; empty without it.
        recognition: what an independent classifier sees; None if it was not asked.
    """

    frames: int
    errors: tuple[LagSummary, ...]
    strength: Spread
    scratch: ScratchSummary | None
    drift: Drift
    residual: ResidualSummary
    true_errors: tuple[TrueSummary, ...] = ()
    recognition: RecognitionSummary | None = None

    @classmethod
    def of(cls, frames: Sequence[FrameMeasure], lags: Sequence[int]) -> Self:
        """Sum up a clip's frames."""
        return cls(
            frames=len(frames),
            errors=tuple(LagSummary.of(lag, frames) for lag in lags),
            strength=Spread.of(frame.strength for frame in frames),
            scratch=ScratchSummary.of(frames),
            drift=Drift.of(frames),
            residual=ResidualSummary.of(frames),
            true_errors=TrueSummary.of([e for f in frames for e in f.true_errors], lags),
            recognition=RecognitionSummary.of(frames),
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
