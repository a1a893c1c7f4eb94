"""A lock that ends with the process that holds it, however that ends."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PAUSE = 0.2  # seconds from one try to the next


class Lock:
    """A file locked against other processes; it is created if it does not exist.

    With ``shared`` others may hold it as well, if they share it. Where there is only one kind of
    lock, on Windows, nobody shares.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be created.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        while True:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock(self._handle, shared=shared)
                # Its last holder may have removed the file: then nobody else sees ours.
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(path.stat(), os.fstat(self._handle)):
                        return
            except BaseException:
                os.close(self._handle)
                raise
            os.close(self._handle)

    def claim(self) -> bool:
        """Whether nobody shares the lock, nor can from now on."""
        try:
            _lock(self._handle, shared=False)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Unlock the file."""
        with contextlib.suppress(OSError):
            os.close(self._handle)


def wait_for(lock: Callable[[], Lock], check: Callable[[], None] = lambda: None) -> Lock:
    """Return a lock once nobody else holds it; ``check`` may raise to stop waiting."""
    while True:
        try:
            return lock()
        except BlockingIOError:
            check()
            time.sleep(_PAUSE)


def _lock(handle: int, *, shared: bool) -> None:
    if fcntl is not None:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        return
    import msvcrt  # noqa: PLC0415

    try:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(*error.args) from error
