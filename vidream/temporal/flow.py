"""Estimators of optical flow: the protocol, and loading one by its name."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from vidream.core.frames import Picture
from vidream.core.registry import FLOWS

FlowArray = npt.NDArray[np.float32]
"""Optical flow, ``[height, width, 2]``: displacements right and down, in pixels."""


class FlowEstimator(Protocol):
    """Estimates where each pixel of a picture lies in another one.

    A plugin registers a callable that takes a ``torch.device`` and returns a
    :class:`FlowEstimator` under the entry-point group ``vidream.flows``.
    """

    def __call__(self, picture: Picture, other: Picture) -> FlowArray:
        """Return the flow ``w`` for which ``picture(x) ≈ other(x + w(x))``.

        Args:
            picture: uint8 ``[H, W, 3]`` RGB.
            other: likewise, of the same size.

        Returns:
            Float32 ``[H, W, 2]``, in pixels.
        """


class NoFlow:
    """Takes everything to stand still."""

    def __init__(self, device: torch.device) -> None:
        """Make one; it runs on the CPU."""

    def __call__(self, picture: Picture, other: Picture) -> FlowArray:  # noqa: ARG002
        """Return zeros."""
        return np.zeros((*picture.shape[:2], 2), np.float32)


def load_flow(name: str, device: torch.device | str = "cpu") -> FlowEstimator:
    """Return a new estimator: ``dis``, ``raft``, ``farneback``, ``none`` or a plugin's.

    Raises:
        SettingsError: there is none of that name, or the plugin cannot be loaded.
        WeightsError: its weights cannot be loaded.
    """
    return FLOWS.load(name)(torch.device(device))  # type: ignore[no-any-return]
