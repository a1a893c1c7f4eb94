"""Measuring a dreamed clip against its source: does it hold still, is it deep, does it drift.

``files`` brings source and dream side by side, and ``clip`` goes through them; ``quantities`` are
what is told of a frame, ``report`` is what is told of all of them, and ``plot`` draws that.
"""

from vidream.measure.clip import LAGS, Progress, measure_clip
from vidream.measure.files import ClipPair
from vidream.measure.quantities import Look
from vidream.measure.report import (
    NOTHING,
    Drift,
    FrameError,
    FrameMeasure,
    FrameScratch,
    LagSummary,
    Report,
    ScratchSummary,
    Spread,
    Summary,
    Trends,
)

__all__ = [
    "LAGS",
    "NOTHING",
    "ClipPair",
    "Drift",
    "FrameError",
    "FrameMeasure",
    "FrameScratch",
    "LagSummary",
    "Look",
    "Progress",
    "Report",
    "ScratchSummary",
    "Spread",
    "Summary",
    "Trends",
    "measure_clip",
]
