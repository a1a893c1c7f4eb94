"""Number of processor cores of this process."""

import math
import os
from pathlib import Path

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_CGROUPS_OF_PROCESS = Path("/proc/self/cgroup")


def core_count() -> int:
    """Return the number of cores that this process may use, at least 1.

    Unlike ``os.cpu_count``, heeds affinity (taskset, Slurm) and the quota of a container.
    """
    return max(1, min([_by_affinity(), *map(math.ceil, _quotas())]))


def _by_affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas() -> list[float]:
    """Return the quotas, in cores, of the process's control groups and their ancestors."""
    try:
        lines = _CGROUPS_OF_PROCESS.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += [_quota_v2(folder) for folder in _up(_CGROUP_ROOT, path)]
        elif "cpu" in controllers.split(","):
            found += [_quota_v1(folder) for folder in _up(_CGROUP_ROOT / "cpu", path)]
    return [quota for quota in found if quota is not None]


def _up(root: Path, path: str) -> list[Path]:
    inside = Path(path.lstrip("/"))
    return [root / inside, *(root / parent for parent in inside.parents)]


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # not there, or "max" for no limit
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        quota, period = (
            int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period")
        )
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None
