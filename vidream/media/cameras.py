"""Live cameras, by their system's names."""

import re
import sys
from dataclasses import dataclass, field

_PREFIX = "camera:"
# Frames that are dreamed more slowly than they are filmed should be recent ones.
_UNBUFFERED = {"fflags": "nobuffer"}


@dataclass(frozen=True, slots=True)
class DeviceInput:
    """URL, FFmpeg's input format and its options of a camera."""

    url: str
    format: str
    options: dict[str, str] = field(default_factory=lambda: dict(_UNBUFFERED))


def device_input(name: str, system: str = sys.platform) -> DeviceInput | None:
    """Return how a camera is opened; None if the name is no camera's.

    Args:
        name: ``/dev/video0`` on Linux; ``camera:0`` or ``camera:NAME`` on any system.
        system: as :data:`sys.platform` has it.
    """
    if re.fullmatch(r"/dev/video\d+", name) and system.startswith("linux"):
        return DeviceInput(name, "v4l2")
    if not name.startswith(_PREFIX):
        return None
    device = name.removeprefix(_PREFIX) or "0"
    if system == "darwin":
        # Of the picture alone; without a rate some cameras refuse.
        return DeviceInput(f"{device}:none", "avfoundation", {"framerate": "30"} | _UNBUFFERED)
    if system == "win32":
        return DeviceInput(f"video={device}", "dshow", {"rtbufsize": "64M"} | _UNBUFFERED)
    return DeviceInput(f"/dev/video{device}" if device.isdigit() else device, "v4l2")
