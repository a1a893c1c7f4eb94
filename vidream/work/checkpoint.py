"""All that the next frame depends on, as a value that can be saved and loaded, bit for bit."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field, fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidream.drafts import write_whole
from vidream.dreamer import Room
from vidream.errors import OutputError
from vidream.frames import DeepPicture, Picture
from vidream.temporal import DreamState, Memory, Seen, Trail


@dataclass(frozen=True, slots=True)
class Point:
    """Where a render is after a frame.

    Args:
        frames: how many there are so far.
        begin: when the first one shows, in seconds.
        state: what the dream of the next one starts from.
        trail: what its motion is found by.
        picture: what was shown last, for a frame that shows the same.
        room: memory that decides into which tiles frames are cut.
    """

    frames: int = 0
    begin: Fraction | None = None
    state: DreamState | None = field(default=None, repr=False)
    trail: Trail | None = field(default=None, repr=False)
    picture: Picture | DeepPicture | None = field(default=None, repr=False)
    room: Room | None = None


_KINDS: dict[str, type] = {
    kind.__name__: kind for kind in (Point, DreamState, Memory, Trail, Seen, Room)
}
_KIND = "kind"


def save(point: Point, path: Path) -> None:
    """Save a point; there is the old one or the new one, and never a part.

    Raises:
        OSError: it cannot be written.
    """

    def write(draft: Path) -> None:
        with draft.open("wb") as file:
            torch.save(_packed(point), file)

    write_whole(path, write)


def load(path: Path, device: torch.device | str) -> Point:
    """Load a point.

    Args:
        path: of the file.
        device: where its tensors are wanted. Those of motion go where they are used.

    Raises:
        OutputError: it is damaged.
    """
    try:
        point = _unpacked(torch.load(path, map_location=device, weights_only=True))
    except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, EOFError) as error:
        raise OutputError(f"{path} is damaged: remove {path.parent} to begin anew") from error
    assert isinstance(point, Point)
    return point


def _packed(value: Any) -> Any:
    """Give a value as what torch loads without running any code."""
    if is_dataclass(value):
        values = {f.name: _packed(getattr(value, f.name)) for f in fields(value)}
        return {_KIND: type(value).__name__, **values}
    if isinstance(value, np.ndarray):
        return {_KIND: "array", "array": torch.from_numpy(np.ascontiguousarray(value))}
    if isinstance(value, Fraction):
        return {_KIND: "ratio", "ratio": (value.numerator, value.denominator)}
    if isinstance(value, Tensor):
        # A view would be saved with all that it is a view of. Strides stay as they are: kernels
        # choose their order of adding up by them.
        value = value.detach()
        whole = value.untyped_storage().nbytes() == value.nbytes
        return value if whole else value.clone()
    if isinstance(value, tuple):
        return tuple(_packed(item) for item in value)
    return value


def _unpacked(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_unpacked(item) for item in value)
    if not isinstance(value, dict):
        return value
    kind = value.pop(_KIND)
    if kind == "array":
        return value["array"].cpu().numpy()
    if kind == "ratio":
        return Fraction(*value["ratio"])
    return _KINDS[kind](**{name: _unpacked(item) for name, item in value.items()})
