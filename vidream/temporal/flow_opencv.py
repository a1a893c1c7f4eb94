"""The classical estimators, from OpenCV. The only module that imports it."""

import cv2
import numpy as np
import torch

from vidream.core.frames import Picture
from vidream.temporal.flow import FlowArray

_MIN_SIDE = 16  # pixels; with shorter sides DIS reads outside the picture and crashes
_NO_FLOW = np.zeros(0, np.float32)  # to start from


def limit_threads(number: int) -> None:
    """Let OpenCV use so many threads; flow does not depend on their number."""
    cv2.setNumThreads(number)


class Dis:
    """Dense inverse search (Kroeger et al. 2016): fast, sharp at edges, the default."""

    def __init__(self, device: torch.device) -> None:
        """Make one; it runs on the CPU."""

    def __call__(self, picture: Picture, other: Picture) -> FlowArray:
        """Return the flow; see :class:`~vidream.temporal.flow.FlowEstimator`."""
        height, width = picture.shape[:2]
        # A new one for each pair costs nothing; one that has seen a small picture stays set for it.
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flow = dis.calc(_padded_grey(picture), _padded_grey(other), _NO_FLOW)
        return np.ascontiguousarray(flow[:height, :width])


class Farneback:
    """Polynomial expansion (Farnebäck 2003): smooth; what dreams are measured with."""

    def __init__(self, device: torch.device) -> None:
        """Make one; it runs on the CPU."""

    def __call__(self, picture: Picture, other: Picture) -> FlowArray:
        """Return the flow; see :class:`~vidream.temporal.flow.FlowEstimator`."""
        height, width = picture.shape[:2]
        flow = cv2.calcOpticalFlowFarneback(
            _padded_grey(picture),
            _padded_grey(other),
            _NO_FLOW,
            pyr_scale=0.5,
            levels=5,
            winsize=15,
            iterations=3,
            poly_n=7,
            poly_sigma=1.5,
            flags=0,
        )
        return np.ascontiguousarray(flow[:height, :width])


def _padded_grey(picture: Picture) -> Picture:
    """Return the brightness, its border repeated up to the smallest size that OpenCV takes."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    down, right = (max(0, _MIN_SIDE - side) for side in grey.shape)
    if down or right:
        grey = cv2.copyMakeBorder(grey, 0, down, 0, right, cv2.BORDER_REPLICATE)
    return grey  # type: ignore[return-value]
