"""What is measured of one frame."""

from __future__ import annotations

from dataclasses import dataclass

from vidream.measure.quantities import ColourStatistics, Residual
from vidream.measure.true_motion import TrueError


@dataclass(frozen=True, slots=True)
class FrameError:
    """The warping error of a frame at one lag, RGB in [0, 1].

    Args:
        lag: in frames.
        dream: mean squared error of the dream over the reliable pixels.
        source: of the source: the floor.
        reliable: share of reliable pixels.
    """

    lag: int
    dream: float
    source: float
    reliable: float


@dataclass(frozen=True, slots=True)
class FrameScratch:
    """A frame compared with the dream of the same source frame from scratch.

    Args:
        strength: ratio of the strengths.
        new_cells: number of cells in new regions.
        new_dream: strength of the dream, summed over them.
        new_scratch: of the from-scratch dream.
        low: ratio of the 10th percentiles of the cells' strength.
    """

    strength: float | None
    new_cells: int = 0
    new_dream: float = 0.0
    new_scratch: float = 0.0
    low: float | None = None


@dataclass(frozen=True, slots=True)
class FrameRecognition:
    """Mean probability of a group of classes in crops of dream and source."""

    dream: float
    source: float


@dataclass(frozen=True, slots=True)
class FrameMeasure:
    """What is measured of a frame.

    Args:
        index: from 0.
        strength: of the dream over the source's; None if the source's is 0.
        dream: color of the dream.
        source: color of the source.
        errors: at each lag that has an earlier frame and enough reliable pixels.
        scratch: on the frames sampled for it.
        residual: dream minus source.
        true_errors: by lag and region.
        recognition: on the frames sampled for it.
    """

    index: int
    strength: float | None
    dream: ColourStatistics
    source: ColourStatistics
    errors: tuple[FrameError, ...] = ()
    scratch: FrameScratch | None = None
    residual: Residual | None = None
    true_errors: tuple[TrueError, ...] = ()
    recognition: FrameRecognition | None = None
