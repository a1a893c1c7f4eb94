"""Free memory of the machine or its GPU."""

import math
import os
from pathlib import Path

import torch

from vidream.core.errors import DeviceError

SHARE = 0.7
"""Share of the free memory that a run takes by default: other programs run here too."""

_PER_PIXEL = 120
"""Bytes for each pixel of a frame from decoding to encoding, as measured."""

_UNKNOWN = 4 * 2**30  # bytes; taken to be free where the system does not say
_CGROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


class MemoryBudget:
    """How much memory a run may take on its device.

    Measured once, at the first use: the tiles of an image, and with them its last bits, must not
    depend on what other programs do meanwhile.

    Args:
        cap: bytes that the process may use on its device; None for a share of what is free.
        device: of the network.
        measured: bytes that an interrupted run measured.
        max_pixels: largest image that fits, in pixels, once one has run out of memory.
    """

    def __init__(
        self,
        cap: int | None,
        device: torch.device,
        measured: int | None = None,
        max_pixels: float = math.inf,
    ) -> None:
        self._cap, self._device, self._measured = cap, device, measured
        self.max_pixels = max_pixels

    @property
    def bytes(self) -> int:
        """Bytes that may be taken; 0 if the cap is reached already."""
        if self._measured is None:
            self._measured = _available(self._cap, self._device)
        return self._measured

    def fix(self, size: int) -> None:
        """Take so many bytes, whatever is free: elsewhere the same was rendered with them."""
        self._measured = size

    @property
    def found(self) -> tuple[int | None, float]:
        """Bytes and pixels measured so far, for a checkpoint."""
        return self._measured, self.max_pixels


def _available(cap: int | None, device: torch.device) -> int:
    if cap is None:
        return int(SHARE * free(device))
    return max(0, cap - held(device))


def check_frames(width: int, height: int, cap: int | None) -> None:
    """Raise a DeviceError if frames do not fit into memory: a file of 50 kB may hold gigabytes.

    ``cap`` limits the process's memory, in bytes; None for what is free.
    """
    needed = _PER_PIXEL * width * height
    available = _free_on_machine() if cap is None else cap
    if needed > available:
        side = int(max(width, height) * (available / needed) ** 0.5) // 16 * 16
        raise DeviceError(
            f"frames of {width}×{height} take about {needed / 2**30:.1f} GiB of memory, and there "
            f"are {available / 2**30:.1f}: set `max_side` to {max(16, side)} to scale them down"
        )


def free(device: torch.device) -> int:
    """Return the free memory of a device, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return _free_on_machine()


def held(device: torch.device) -> int:
    """Return the bytes that this process uses on a device."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 2**29  # Python, PyTorch and a network, as measured on Linux
    return pages * os.sysconf("SC_PAGE_SIZE")


def _free_on_machine() -> int:
    return min(_unused(), *(_cgroup(*paths) for paths in _CGROUPS))


def _unused() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        pass
    try:  # macOS says how much there is, not how much is free
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (OSError, ValueError, AttributeError):
        return _UNKNOWN


def _cgroup(folder: str, limit: str, usage: str) -> int:
    """Return what a container's limit leaves, in bytes; 2**62 without one."""
    try:
        most, used = (int(Path(folder, name).read_text()) for name in (limit, usage))
        pairs = (line.split() for line in Path(folder, "memory.stat").read_text().splitlines())
        cached = next((int(size) for name, size in pairs if name.endswith("inactive_file")), 0)
    except (OSError, ValueError):  # not there, or "max" for no limit
        return 2**62
    return max(0, most - used + cached)
