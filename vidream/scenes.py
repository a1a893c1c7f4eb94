"""Where a scene ends and another begins. The only module that imports PySceneDetect."""

from __future__ import annotations

import numpy as np
from scenedetect import FrameTimecode
from scenedetect.detectors import ContentDetector

from vidream.frames import Picture

_RATE = 25.0  # frames a second; the detector wants a clock, its decisions here do not need one
_PEDESTAL = 64  # levels


class SceneDetector:
    """Tells, frame by frame, where one scene is cut to another; a fade is no cut."""

    def __init__(self) -> None:
        # No shortest scene: a state that is kept across a cut would be carried into the next one.
        self._detector = ContentDetector(min_scene_len=0)
        self._count = 0

    def cut(self, picture: Picture) -> bool:
        """Tell whether a scene begins with this uint8 ``[H, W, 3]`` RGB picture.

        Pictures are to be given in their order and at one size; the first one begins a scene.
        """
        time = FrameTimecode(self._count, _RATE)
        self._count += 1
        found = self._detector.process_frame(time, _lifted(picture))
        return bool(found) or self._count == 1


def _lifted(picture: Picture) -> Picture:
    """Give BGR, lifted off black.

    The detector compares hue and saturation, which jump to 0 at the last frame of a fade to
    black: it took that for a cut.
    """
    lifted: Picture = (_PEDESTAL + picture[..., ::-1] * ((255 - _PEDESTAL) / 255)).astype(np.uint8)
    return lifted
