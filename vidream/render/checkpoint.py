"""What the next frame depends on, saved and loaded bit for bit."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidream.core.errors import OutputError
from vidream.core.frames import HdrPicture, Picture
from vidream.media.atomic import atomic_write
from vidream.temporal.propagation import DreamState, Keyframe
from vidream.temporal.tracking import TrackedFrame, TrackerState


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the next frame depends on."""

    frames: int = 0  # number of frames rendered so far
    begin: Fraction | None = None  # time of the first one, in seconds
    state: DreamState | None = field(default=None, repr=False)
    tracker: TrackerState | None = field(default=None, repr=False)
    picture: Picture | HdrPicture | None = field(default=None, repr=False)  # the last output
    memory: tuple[int | None, float] | None = None  # bytes and pixels of the MemoryBudget

    @property
    def position(self) -> "Checkpoint":
        """The checkpoint with its ``frames`` and ``begin`` only."""
        return Checkpoint(self.frames, self.begin)


_KINDS: dict[str, type] = {
    kind.__name__: kind for kind in (Checkpoint, DreamState, Keyframe, TrackerState, TrackedFrame)
}
_KIND = "kind"


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Save a checkpoint atomically; raises OSError."""

    def write(draft: Path) -> None:
        with draft.open("wb") as file:
            torch.save(_packed(checkpoint), file)

    atomic_write(path, write)


def load(path: Path, device: torch.device | str) -> Checkpoint:
    """Load a checkpoint, its tensors to ``device``; raises OutputError if it is damaged."""
    try:
        checkpoint = _unpacked(torch.load(path, map_location=device, weights_only=True))
    except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, EOFError) as error:
        raise OutputError(f"{path} is damaged: remove {path.parent} to begin anew") from error
    assert isinstance(checkpoint, Checkpoint)
    return checkpoint


def _packed(value: Any) -> Any:
    """Return a value as types that torch loads without running code."""
    if is_dataclass(value):
        values = {f.name: _packed(getattr(value, f.name)) for f in fields(value)}
        return {_KIND: type(value).__name__, **values}
    if isinstance(value, np.ndarray):
        return {_KIND: "array", "array": torch.from_numpy(np.ascontiguousarray(value))}
    if isinstance(value, Fraction):
        return {_KIND: "ratio", "ratio": (value.numerator, value.denominator)}
    if isinstance(value, Tensor):
        # A view would be saved with all of its storage. Strides are kept: the order in which
        # kernels add up depends on them.
        tensor = value.detach()
        return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()
    if isinstance(value, Mapping):
        return {_KIND: "mapping", "mapping": tuple((k, _packed(v)) for k, v in value.items())}
    return tuple(map(_packed, value)) if isinstance(value, tuple) else value


def _unpacked(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_unpacked, value))
    if not isinstance(value, dict):
        return value
    kind = value.pop(_KIND)
    if kind == "array":
        return value["array"].cpu().numpy()
    if kind == "mapping":
        return {name: _unpacked(item) for name, item in value["mapping"]}
    if kind == "ratio":
        return Fraction(*value["ratio"])
    return _KINDS[kind](**{name: _unpacked(item) for name, item in value.items()})
