"""Scene cuts."""

import numpy as np

from vidream.core.frames import Picture

CUT_THRESHOLD = 17.0
"""Mean change of the RGB levels from which a frame may begin a new scene."""


def may_begin_scene(picture: Picture, previous: Picture | None) -> bool:
    """Return whether a picture, uint8 ``[H, W, 3]``, differs from the last as after a cut.

    By the levels alone: hue and saturation jump at the last frame of a fade to black, and do not
    change where one black-and-white scene is cut to another.
    """
    if previous is None:
        return True
    return bool(np.abs(picture.astype(np.int16) - previous).mean() >= CUT_THRESHOLD)
