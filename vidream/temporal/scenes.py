"""Scene cuts."""

from __future__ import annotations

import numpy as np

from vidream.core.frames import Picture

CUT_THRESHOLD = 17.0
"""Mean change of the RGB levels from which a frame may begin a new scene."""


def may_begin_scene(
    picture: Picture, previous: Picture | None, threshold: float = CUT_THRESHOLD
) -> bool:
    """Return whether a picture differs from the one before it as after a cut; a fade does not.

    By the levels alone: hue and saturation jump at the last frame of a fade to black, and do not
    change where one black-and-white scene is cut to another.

    Args:
        picture: uint8 ``[H, W, 3]`` RGB.
        previous: likewise, of the same size; None before the first picture, which begins a scene.
        threshold: least mean absolute difference, in levels.
    """
    if previous is None:
        return True
    return bool(np.abs(picture.astype(np.int16) - previous).mean() >= threshold)
