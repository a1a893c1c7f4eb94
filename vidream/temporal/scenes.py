"""Where a scene ends and another begins. The only module that imports PySceneDetect."""

from __future__ import annotations

import numpy as np

from vidream.frames import Picture

_RATE = 25.0  # frames a second; the detector wants a clock, its decisions here do not need one
_THRESHOLD = 17.0  # levels by which the mean channel of the mean pixel changes at a cut


class SceneDetector:
    """Tells, frame by frame, where one scene may be cut to another; a fade is no cut.

    Args:
        after: the picture before the first one that will be given; None if a scene begins there.
    """

    def __init__(self, after: Picture | None = None) -> None:
        # Imported here: it brings OpenCV, a good part of the program's start.
        from scenedetect import FrameTimecode  # noqa: PLC0415
        from scenedetect.detectors import ContentDetector  # noqa: PLC0415

        self._time = FrameTimecode
        # No shortest scene: a state that is kept across a cut would be carried into the next one.
        self._detector = ContentDetector(
            threshold=_THRESHOLD, min_scene_len=0, weights=ContentDetector.LUMA_ONLY_WEIGHTS
        )
        self._count = 0
        self.last: Picture | None = None
        if after is not None:
            self.cut(after)

    def cut(self, picture: Picture) -> bool:
        """Tell whether a scene begins with this uint8 ``[H, W, 3]`` RGB picture.

        Pictures are to be given in their order and at one size; the first one begins a scene.
        """
        time = self._time(self._count, _RATE)
        self._count += 1
        self.last = picture  # all that a decision depends on
        found = self._detector.process_frame(time, _channels(picture))
        return bool(found) or self._count == 1


def _channels(picture: Picture) -> Picture:
    """Lay the three channels side by side, as one grey picture.

    The detector's own measure weighs hue and saturation, which jump at the last frame of a fade
    to black, and do not change at all where one black-and-white scene is cut to another.
    """
    grey = np.concatenate([picture[..., k] for k in range(3)], axis=1)
    return np.repeat(grey[..., None], 3, axis=2)
