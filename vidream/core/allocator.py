"""glibc's handling of freed memory; no-ops elsewhere."""

import ctypes
import functools
import sys
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_… of malloc.h
_ANYTHING = 2**31 - 1  # bytes; mallopt takes C ints
_MOST_OF_OLD = 2**25  # bytes; glibc before 2.35 refuses to allocate larger blocks in its heap


@functools.cache
def keep_freed_memory() -> None:
    """Keep freed memory in the process: mapping it anew costs a tenth of a step.

    For programs, not for libraries.
    """
    mallopt = _from_glibc("mallopt")
    if mallopt is None:
        return
    mallopt(_TRIM_THRESHOLD, _ANYTHING)
    if not mallopt(_MMAP_THRESHOLD, _ANYTHING):
        mallopt(_MMAP_THRESHOLD, _MOST_OF_OLD)


def give_back_freed_memory() -> None:
    """Return all free pages to the kernel once, for images so large that memory is short."""
    trim = _from_glibc("malloc_trim")
    if trim is not None:
        trim(0)


@functools.cache
def _from_glibc(name: str) -> Any:
    if sys.platform != "linux":
        return None
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return None
