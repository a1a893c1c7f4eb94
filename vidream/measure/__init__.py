"""Measuring a dreamed clip against its source: does it hold still, is it deep, does it drift.

``files`` brings source and dream side by side, and ``clip`` goes through them; ``quantities`` are
measured of any frame, ``true_motion`` and ``recognition`` add what is known of motion and of
classes; ``records`` hold the figures of a frame, ``report`` those of a clip; ``plot`` draws them.
"""

from vidream.measure.clip import LAGS, Progress, measure_clip
from vidream.measure.files import ClipPair
from vidream.measure.quantities import Look, Residual
from vidream.measure.recognition import Recogniser, sampling
from vidream.measure.records import FrameError, FrameMeasure, FrameRecognition, FrameScratch
from vidream.measure.report import (
    NOTHING,
    Drift,
    LagSummary,
    RecognitionSummary,
    Report,
    ResidualSummary,
    ScratchSummary,
    Spread,
    Summary,
    Trends,
    TrueSummary,
)
from vidream.measure.true_motion import TrueError, TrueMotion

__all__ = [
    "LAGS",
    "NOTHING",
    "ClipPair",
    "Drift",
    "FrameError",
    "FrameMeasure",
    "FrameRecognition",
    "FrameScratch",
    "LagSummary",
    "Look",
    "Progress",
    "Recogniser",
    "RecognitionSummary",
    "Report",
    "Residual",
    "ResidualSummary",
    "ScratchSummary",
    "Spread",
    "Summary",
    "Trends",
    "TrueError",
    "TrueMotion",
    "TrueSummary",
    "measure_clip",
    "sampling",
]
