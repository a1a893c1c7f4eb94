"""How much memory there is to spare, on the machine or on its GPU."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from vidream.errors import DeviceError

SHARE = 0.7
"""Share of what is free that is taken unless told otherwise: other programs live here too."""

_PER_PIXEL = 120
"""Bytes for each pixel of a frame on its way from the decoder to the encoder, as measured."""

_UNKNOWN = 4 * 2**30  # bytes; what is taken to be free where nobody tells
_CGROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def budget(cap: int | None, device: torch.device) -> int:
    """Give the bytes that may be taken from now on; 0 if the cap is reached already.

    Args:
        cap: most that the process may hold in all, or hold on its GPU; None for a share of what
            is free.
        device: where the network runs.
    """
    if cap is None:
        return int(SHARE * free(device))
    return max(0, cap - held(device))


def check_frames(width: int, height: int, cap: int | None) -> None:
    """Refuse frames that no memory is there for: a file of 50 kB may unfold to gigabytes.

    Args:
        width: of the frames, in pixels.
        height: likewise.
        cap: most that the process may hold; None for what is free.

    Raises:
        DeviceError: they would not fit.
    """
    takes = _PER_PIXEL * width * height
    there = free(torch.device("cpu")) if cap is None else cap
    if takes > there:
        fitting = int(max(width, height) * (there / takes) ** 0.5) // 16 * 16
        raise DeviceError(
            f"frames of {width}×{height} take about {takes / 2**30:.1f} GiB, and there are "
            f"{there / 2**30:.1f}: say --max-side {max(16, fitting)} to scale them down"
        )


def free(device: torch.device) -> int:
    """Give the bytes that are free on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return min(_machine(), *(_cgroup(*paths) for paths in _CGROUPS))


def held(device: torch.device) -> int:
    """Give the bytes that this process holds on a device."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 2**29  # Python, PyTorch and a network, as measured on Linux
    return pages * os.sysconf("SC_PAGE_SIZE")


def _machine() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        pass
    try:  # macOS tells how much there is, not how much is free
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (OSError, ValueError, AttributeError):
        return _UNKNOWN


def _cgroup(folder: str, limit: str, usage: str) -> int:
    """Give what a container's limit leaves; more than any machine has where there is no limit."""
    try:
        most, used = (int(Path(folder, name).read_text()) for name in (limit, usage))
        pairs = (line.split() for line in Path(folder, "memory.stat").read_text().splitlines())
        cached = next((int(size) for name, size in pairs if name.endswith("inactive_file")), 0)
    except (OSError, ValueError):  # not there, or "max" for no limit
        return 2**62
    return max(0, most - used + cached)
