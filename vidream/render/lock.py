"""A lock that ends with the process that holds it, however that ends."""

import contextlib
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Lock:
    """A file locked against other processes; it is created if it does not exist.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        while True:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock(self._handle)
                # Its last holder may have removed the file: then nobody else sees ours.
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(path.stat(), os.fstat(self._handle)):
                        return
            except BaseException:
                os.close(self._handle)
                raise
            os.close(self._handle)

    def release(self) -> None:
        """Unlock the file."""
        with contextlib.suppress(OSError):
            os.close(self._handle)


def _lock(handle: int) -> None:
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    import msvcrt  # noqa: PLC0415

    try:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(*error.args) from error
