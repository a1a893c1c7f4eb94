"""The classical estimators, from OpenCV. The only module that imports it."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from vidream.flow.estimator import Field
from vidream.frames import Picture

_SMALLEST = 16  # pixels; with shorter sides DIS reads outside the picture and crashes
_NOTHING = np.zeros(0, np.float32)  # no field to start from


class Dis:
    """Dense inverse search (Kroeger et al. 2016): fast, sharp at edges, the default."""

    def __init__(self, device: torch.device) -> None:
        """Take the device, as every estimator does; this one runs on the CPU."""

    def __call__(self, picture: Picture, other: Picture) -> Field:
        """Estimate; see :class:`~vidream.flow.FlowEstimator`."""
        height, width = picture.shape[:2]
        # A new one for each pair costs nothing; one that has seen a small picture stays set for it.
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flow = dis.calc(_padded(picture), _padded(other), _NOTHING)
        return np.ascontiguousarray(flow[:height, :width])


class Farneback:
    """Polynomial expansion (Farnebäck 2003): smooth; what dreams are measured with."""

    def __init__(self, device: torch.device) -> None:
        """Take the device, as every estimator does; this one runs on the CPU."""

    def __call__(self, picture: Picture, other: Picture) -> Field:
        """Estimate; see :class:`~vidream.flow.FlowEstimator`."""
        height, width = picture.shape[:2]
        flow = cv2.calcOpticalFlowFarneback(
            _padded(picture),
            _padded(other),
            _NOTHING,
            pyr_scale=0.5,
            levels=5,
            winsize=15,
            iterations=3,
            poly_n=7,
            poly_sigma=1.5,
            flags=0,
        )
        return np.ascontiguousarray(flow[:height, :width])


def _padded(picture: Picture) -> Picture:
    """Give the brightness, with its border repeated up to the smallest size OpenCV can take."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    down, right = (max(0, _SMALLEST - side) for side in grey.shape)
    if down or right:
        grey = cv2.copyMakeBorder(grey, 0, down, 0, right, cv2.BORDER_REPLICATE)
    return grey  # type: ignore[return-value]
