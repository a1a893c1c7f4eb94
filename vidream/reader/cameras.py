"""Live cameras, by the names that the system gives them."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from vidream.media import Place, is_pipe

_PREFIX = "camera:"
# Little waits in the driver: what is dreamed slower than it is filmed shall be what is seen now.
_QUICK = {"fflags": "nobuffer"}


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera, as FFmpeg opens it.

    Args:
        place: its name there.
        kind: the system's input device.
        options: for that device.
    """

    place: str
    kind: str
    options: dict[str, str] = field(default_factory=dict)


def camera_of(name: str, system: str = sys.platform) -> Camera | None:
    """Tell which camera a source names, None if it names none.

    Args:
        name: ``/dev/video0`` on Linux; ``camera:0`` or ``camera:NAME`` on any system.
        system: as :data:`sys.platform` has it.
    """
    if re.fullmatch(r"/dev/video\d+", name) and system.startswith("linux"):
        return Camera(name, "v4l2", dict(_QUICK))
    if not name.startswith(_PREFIX):
        return None
    which = name.removeprefix(_PREFIX) or "0"
    if system == "darwin":
        # Of the picture alone; without a rate some cameras refuse.
        return Camera(f"{which}:none", "avfoundation", {"framerate": "30"} | _QUICK)
    if system == "win32":
        return Camera(f"video={which}", "dshow", {"rtbufsize": "64M"} | _QUICK)
    return Camera(f"/dev/video{which}" if which.isdigit() else which, "v4l2", dict(_QUICK))


def is_live(place: Place) -> bool:
    """Whether a source cannot be read a second time: a pipe, with a name or none, or a camera."""
    if is_pipe(place):
        return True
    name = os.fspath(place)  # type: ignore[arg-type]
    return camera_of(name) is not None or Path(name).is_fifo()
