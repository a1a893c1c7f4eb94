"""How a dream is carried from frame to frame, along the motion of the source.

``motion`` follows the source alone, so that it can run ahead of the dreamer: it finds cuts
(``scenes``), and ways back to earlier frames, by optical flow as far as that can be relied on
(``warp``). Along these ways ``carrier`` brings earlier dreams to where the next one starts; all
that it keeps of them is a value, the :class:`DreamState`.
"""

from vidream.temporal.carrier import (
    Carrier,
    DreamState,
    Memo,
    Memory,
    MotionCarrier,
    Start,
    remember,
)
from vidream.temporal.motion import Motion, MotionTracker, Seen, Track, Trail
from vidream.temporal.scenes import SceneDetector

__all__ = [
    "Carrier",
    "DreamState",
    "Memo",
    "Memory",
    "Motion",
    "MotionCarrier",
    "MotionTracker",
    "SceneDetector",
    "Seen",
    "Start",
    "Track",
    "Trail",
    "remember",
]
