"""What an estimator of optical flow is, and which there are.

A plugin registers a callable that takes a ``torch.device`` and gives a :class:`FlowEstimator`
under the entry-point group ``vidream.flows``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from vidream.errors import SettingsError, unknown
from vidream.frames import Picture

GROUP = "vidream.flows"

Field = npt.NDArray[np.float32]
"""A field of flow, ``[height, width, 2]``: displacements right and down, in pixels."""


class FlowEstimator(Protocol):
    """Finds where each pixel of a picture lies in another one."""

    def __call__(self, picture: Picture, other: Picture) -> Field:
        """Estimate the field ``w`` for which ``picture(x) ≈ other(x + w(x))``.

        Args:
            picture: RGB, uint8 ``[H, W, 3]``.
            other: another picture of the same size.

        Returns:
            Float32 ``[H, W, 2]``, in pixels.
        """
        ...


class NoFlow:
    """Takes everything to stand still."""

    def __init__(self, device: torch.device) -> None:
        """Take the device, as every estimator does; this one needs none."""

    def __call__(self, picture: Picture, other: Picture) -> Field:  # noqa: ARG002
        """Give a field of zeros."""
        return np.zeros((*picture.shape[:2], 2), np.float32)


# Imported when asked for: OpenCV and torchvision each cost a good part of the program's start.
_BUILT_IN = {
    "dis": "vidream.flow.opencv:Dis",
    "farneback": "vidream.flow.opencv:Farneback",
    "raft": "vidream.flow.raft:Raft",
    "none": "vidream.flow.estimator:NoFlow",
}


def flow_names() -> list[str]:
    """List the estimators: the built-in ones and third parties'."""
    return list(dict.fromkeys([*_BUILT_IN, *(entry.name for entry in entry_points(group=GROUP))]))


def load_flow(name: str, device: torch.device | str = "cpu") -> FlowEstimator:
    """Make the estimator of that name. A built-in one shadows a plugin of its name.

    Args:
        name: ``dis``, ``raft``, ``farneback``, ``none`` or a plugin's.
        device: where an estimator that is a network runs.

    Raises:
        SettingsError: there is none of that name, or the plugin cannot be loaded.
        WeightsError: its weights cannot be had.
    """
    return _maker(name)(torch.device(device))


def _maker(name: str) -> Callable[[torch.device], FlowEstimator]:
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        return getattr(import_module(module), attribute)  # type: ignore[no-any-return]
    plugins = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in plugins:
        names = flow_names()
        raise SettingsError(unknown("flow", name, names, f"The flows are {', '.join(names)}."))
    try:
        return plugins[name].load()  # type: ignore[no-any-return]
    except Exception as error:  # whatever foreign code raises when it is imported
        raise SettingsError(f"flow {name!r} cannot be loaded: {error}") from error
