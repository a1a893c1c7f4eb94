"""Keeps freed memory in the process from step to step, where the C library is glibc."""

from __future__ import annotations

import ctypes
import functools
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_… of malloc.h
_ANYTHING = 2**31 - 1  # bytes; mallopt takes C ints
_MOST_OF_OLD = 2**25  # bytes; glibc before 2.35 refuses to allocate larger blocks in its heap


@functools.cache
def keep_freed_memory() -> None:
    """Let glibc keep what is freed, for the whole process; do nothing elsewhere.

    Each step frees hundreds of megabytes and asks for them again. Left to itself, glibc gives them
    back to the kernel in between, and mapping them anew, page by page, costs a tenth of the step.
    What is kept is bounded by the most that was ever in use at once.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    mallopt(_TRIM_THRESHOLD, _ANYTHING)
    if not mallopt(_MMAP_THRESHOLD, _ANYTHING):
        mallopt(_MMAP_THRESHOLD, _MOST_OF_OLD)
