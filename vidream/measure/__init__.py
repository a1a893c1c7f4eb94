"""Metrics of a dreamed clip against its source: stability, strength, drift.

``files`` reads source and dream in parallel, ``clip`` measures them frame by frame (``quantities``,
``strength``, ``true_motion``, ``recognition``), ``records`` are per frame, ``report`` per clip.
"""

from vidream.measure.clip import measure_clip
from vidream.measure.files import ClipPair
from vidream.measure.recognition import Recogniser, sampling
from vidream.measure.records import FrameMeasure
from vidream.measure.report import NOTHING, Report, Summary
from vidream.measure.true_motion import TrueMotion

__all__ = [
    "NOTHING",
    "ClipPair",
    "FrameMeasure",
    "Recogniser",
    "Report",
    "Summary",
    "TrueMotion",
    "measure_clip",
    "sampling",
]
