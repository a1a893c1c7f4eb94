"""What is measured of one frame."""

from dataclasses import dataclass

from vidream.measure.quantities import ColourStatistics, Residual
from vidream.measure.true_motion import TrueError


@dataclass(frozen=True, slots=True)
class FrameError:
    """The warping error of a frame at one lag, RGB in [0, 1]."""

    lag: int  # in frames
    dream: float  # mean squared error of the dream over the reliable pixels
    source: float  # of the source: the floor
    reliable: float  # share of reliable pixels


@dataclass(frozen=True, slots=True)
class FrameScratch:
    """A frame compared with the dream of the same source frame from scratch."""

    strength: float | None  # ratio of the strengths
    new_cells: int = 0  # number of cells in new regions
    new_dream: float = 0.0  # strength of the dream, summed over them
    new_scratch: float = 0.0  # of the from-scratch dream
    low: float | None = None  # ratio of the 10th percentiles of the cells' strength


@dataclass(frozen=True, slots=True)
class FrameRecognition:
    """Mean probability of a group of classes in crops of dream and source."""

    dream: float
    source: float


@dataclass(frozen=True, slots=True)
class FrameMeasure:
    """What is measured of a frame."""

    index: int  # from 0
    strength: float | None  # of the dream over the source's; None if the source's is 0
    dream: ColourStatistics  # color of the dream
    source: ColourStatistics  # color of the source
    errors: tuple[FrameError, ...] = ()  # by lag, with enough reliable pixels
    scratch: FrameScratch | None = None  # on the frames sampled for it
    residual: Residual | None = None  # dream minus source
    true_errors: tuple[TrueError, ...] = ()  # by lag and region
    recognition: FrameRecognition | None = None  # on the frames sampled for it
