"""Keeps freed memory in the process, or gives it back, where the C library is glibc."""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

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
    mallopt = _of_glibc("mallopt")
    if mallopt is None:
        return
    mallopt(_TRIM_THRESHOLD, _ANYTHING)
    if not mallopt(_MMAP_THRESHOLD, _ANYTHING):
        mallopt(_MMAP_THRESHOLD, _MOST_OF_OLD)


def give_back_freed_memory() -> None:
    """Give what is freed back to the kernel, and large blocks whenever they are freed from now on.

    For frames so large that memory is short: what a step leaves behind would lie idle, in pieces,
    while what follows asks for more. Does nothing where the C library is another.
    """
    mallopt, trim = _of_glibc("mallopt"), _of_glibc("malloc_trim")
    if mallopt is not None and trim is not None:
        mallopt(_MMAP_THRESHOLD, _MOST_OF_OLD)
        trim(0)


@functools.cache
def _of_glibc(name: str) -> Any:
    """Give a function of the C library; None if it has none of that name."""
    if sys.platform != "linux":
        return None
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return None
