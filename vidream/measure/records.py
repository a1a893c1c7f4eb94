"""What is measured of one frame, as a record."""

from __future__ import annotations

from dataclasses import dataclass

from vidream.measure.quantities import Look, Residual
from vidream.measure.true_motion import TrueError


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
class FrameRecognition:
    """How much of a group of classes an independent classifier sees in a frame.

    Args:
        dream: mean probability of the group in crops of the dream.
        source: likewise of the source.
    """

    dream: float
    source: float


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
        residual: how what the dream adds looks.
        true_errors: warping error by true motion, likewise by lag and by region.
        recognition: what a classifier sees in the frame, on the frames that were so sampled.
    """

    index: int
    strength: float | None
    dream: Look
    source: Look
    errors: tuple[FrameError, ...] = ()
    scratch: FrameScratch | None = None
    residual: Residual | None = None
    true_errors: tuple[TrueError, ...] = ()
    recognition: FrameRecognition | None = None
