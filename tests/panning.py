"""What effects promise over time, told from a pan whose motion is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from conftest import textured

from vidream import DreamSettings, dream_frames
from vidream.frames import Picture
from vidream.processors import Processor

STEP = 3  # pixels to the right from one frame to the next, around the border
_WRAPPED = 30  # pixels at the left that come in from the other side
_SETTLING = 3  # frames


def pan(count: int) -> list[Picture]:
    """Give so many frames of a pan."""
    return [np.roll(textured(64, 96), STEP * k, axis=1) for k in range(count)]


def shown(processor: Processor, settings: DreamSettings, pictures: list[Picture]) -> list[Picture]:
    """Give what becomes of pictures one after the other."""
    return [frame.image for frame, _ in dream_frames(pictures, settings, processor=processor)]


def makes_each_on_its_own(processor: Processor, settings: DreamSettings) -> bool:
    """Tell whether frames of a pan come out as if each were the only one."""
    alone = [shown(processor, settings, [picture])[0] for picture in pan(4)]
    both = zip(shown(processor, settings, pan(4)), alone, strict=True)
    return all(np.array_equal(a, b) for a, b in both)


def flicker(processor: Processor, settings: DreamSettings) -> float:
    """Give the mean square of what the motion of the pan does not explain."""
    pictures = [picture / 255 for picture in shown(processor, settings, pan(8))]
    apart = (np.roll(a, STEP, axis=1) - b for a, b in pairwise(pictures[_SETTLING:]))
    return float(np.mean([np.square(rest[:, _WRAPPED:]).mean() for rest in apart]))
