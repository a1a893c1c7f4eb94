"""The result of a measurement: summaries of the frames' records."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from vidream.measure.quantities import ColourStatistics, trend
from vidream.measure.records import FrameMeasure
from vidream.measure.true_motion import REGIONS, TrueError

DRIFT_START = 30
"""Frame from which drift is counted: a propagated dream takes about a second to settle."""

NOTHING = 1e-8
"""A warping error that is none: what positions in float32 leave of a perfect match."""

MIN_PIXELS = 500
"""How many pixels a region must have over the whole clip for an error by true motion."""

ROUNDING = 2 * (1 / 255) ** 2 / 12
"""The warping error that rounding both frames to 8 bits leaves."""


@dataclass(frozen=True, slots=True)
class Range:
    """Mean, minimum and maximum over the clip; None without any value."""

    mean: float | None
    minimum: float | None
    maximum: float | None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Self:
        """Summarize the values that are not None."""
        there = [value for value in values if value is not None]
        return cls(_mean(there), min(there, default=None), max(there, default=None))


@dataclass(frozen=True, slots=True)
class LagSummary:
    """Mean warping error at one lag."""

    lag: int  # in frames
    frames: int  # number of frames measured
    dream: float | None  # error of the dream; None if there were none
    source: float | None  # error of the source, the floor
    ratio: float | None  # dream over source; None where the source's is mere rounding

    @classmethod
    def of(cls, lag: int, frames: Iterable[FrameMeasure]) -> Self:
        """Summarize one lag."""
        errors = [error for frame in frames for error in frame.errors if error.lag == lag]
        dream = _mean([error.dream for error in errors])
        source = _mean([error.source for error in errors])
        return cls(lag, len(errors), dream, source, _over(dream, source, ROUNDING))


@dataclass(frozen=True, slots=True)
class TrueSummary:
    """Warping error by true motion at one lag in one region, the mean over all its pixels."""

    lag: int  # in frames
    region: str  # one of REGIONS
    dream: float | None  # error of the dream; None on fewer than MIN_PIXELS
    source: float | None  # error of the source, the floor
    ratio: float | None  # dream over source; None where the source's is mere rounding
    share: float  # of the pixels visible in both frames

    @classmethod
    def of(cls, errors: Sequence[TrueError], lags: Iterable[int]) -> tuple[Self, ...]:
        """Summarize each lag in each region."""
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
        if pixels >= MIN_PIXELS:
            dream = sum(error.dream * error.pixels for error in mine) / pixels
            source = sum(error.source * error.pixels for error in mine) / pixels
        ratio = _over(dream, source, ROUNDING)
        return cls(lag, region, dream, source, ratio, pixels / max(1, every))


@dataclass(frozen=True, slots=True)
class ResidualSummary:
    """Ranges of :class:`~vidream.measure.quantities.Residual`."""

    chroma: Range
    fine: Range
    rms: Range

    @classmethod
    def of(cls, frames: Iterable[FrameMeasure]) -> Self:
        """Summarize all frames."""
        found = [frame.residual for frame in frames if frame.residual is not None]
        names = [quantity.name for quantity in fields(cls)]
        return cls(*(Range.of(getattr(residual, name) for residual in found) for name in names))


@dataclass(frozen=True, slots=True)
class RecognitionSummary:
    """Mean of :class:`~vidream.measure.records.FrameRecognition` over ``frames`` frames."""

    frames: int
    dream: float
    source: float

    @classmethod
    def of(cls, frames: Iterable[FrameMeasure]) -> Self | None:
        """Summarize the sampled frames; None if there are none."""
        found = [frame.recognition for frame in frames if frame.recognition is not None]
        if not found:
            return None
        count = len(found)
        dream, source = sum(f.dream for f in found), sum(f.source for f in found)
        return cls(count, dream / count, source / count)


@dataclass(frozen=True, slots=True)
class ScratchSummary:
    """Comparison with from-scratch dreams."""

    frames: int  # number of frames sampled
    strength: Range  # ratio of the strengths
    evenness: float | None  # of the strengths in new regions, over all samples; None without
    new_cells: int  # number of cells in them
    low: float | None  # mean ratio of the 10th percentiles of the cells' strength

    @classmethod
    def of(cls, frames: Iterable[FrameMeasure]) -> Self | None:
        """Summarize the sampled frames; None if there are none."""
        sampled = [frame.scratch for frame in frames if frame.scratch is not None]
        if not sampled:
            return None
        dream, scratch = sum(s.new_dream for s in sampled), sum(s.new_scratch for s in sampled)
        return cls(
            frames=len(sampled),
            strength=Range.of(s.strength for s in sampled),
            evenness=_over(dream, scratch),
            new_cells=sum(s.new_cells for s in sampled),
            low=_mean([s.low for s in sampled if s.low is not None]),
        )


@dataclass(frozen=True, slots=True)
class Trends:
    """Slopes of color per 100 frames, as fractions of the mean; None if that is 0."""

    brightness: float | None
    contrast: float | None
    saturation: float | None

    @classmethod
    def of(cls, indices: Sequence[int], colours: Sequence[ColourStatistics]) -> Self:
        """Fit a line to each quantity."""
        names = [quantity.name for quantity in fields(cls)]
        return cls(*(trend(indices, [getattr(c, name) for c in colours]) for name in names))


@dataclass(frozen=True, slots=True)
class Drift:
    """Slopes per 100 frames, as fractions of the mean."""

    since: int  # first frame of the fit
    strength: float | None  # of the strength
    dream: Trends  # of the dream's color
    source: Trends  # of the source's color, which the dream may follow

    @classmethod
    def of(cls, frames: Sequence[FrameMeasure]) -> Self:
        """Fit from frame :data:`DRIFT_START` on; to all of a clip shorter than twice that."""
        since = DRIFT_START if len(frames) >= 2 * DRIFT_START else 0
        settled = frames[since:]
        indices = [frame.index for frame in settled]
        strengths = {f.index: f.strength for f in settled if f.strength is not None}
        return cls(
            since=since,
            strength=trend(list(strengths), list(strengths.values())),
            dream=Trends.of(indices, [frame.dream for frame in settled]),
            source=Trends.of(indices, [frame.source for frame in settled]),
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """Summary of a clip."""

    frames: int  # number of frames
    errors: tuple[LagSummary, ...]  # warping error, by lag
    strength: Range  # of the dream over the source's
    scratch: ScratchSummary | None  # None if no frame was sampled
    drift: Drift  # slopes over time
    residual: ResidualSummary  # dream minus source
    true_errors: tuple[TrueSummary, ...] = ()  # by lag and region
    recognition: RecognitionSummary | None = None  # None if no frame was sampled

    @classmethod
    def of(cls, frames: Sequence[FrameMeasure], lags: Sequence[int]) -> Self:
        """Summarize all frames."""
        return cls(
            frames=len(frames),
            errors=tuple(LagSummary.of(lag, frames) for lag in lags),
            strength=Range.of(frame.strength for frame in frames),
            scratch=ScratchSummary.of(frames),
            drift=Drift.of(frames),
            residual=ResidualSummary.of(frames),
            true_errors=TrueSummary.of([e for f in frames for e in f.true_errors], lags),
            recognition=RecognitionSummary.of(frames),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """A measurement: the summary and the series."""

    summary: Summary
    frames: tuple[FrameMeasure, ...] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists and numbers, for JSON."""
        return {"summary": asdict(self.summary), "frames": [asdict(f) for f in self.frames]}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _over(value: float | None, by: float | None, nothing: float = 0) -> float | None:
    """Return the quotient; None if the divisor is ``nothing`` or less."""
    if value is None or by is None or abs(by) <= nothing:
        return None
    return value / by
