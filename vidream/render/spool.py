"""The frames of an unfinished segment, uncompressed."""

import contextlib
import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vidream.core.frames import Frame

# Index, pts, duration, time base, height, width, bytes of a level, whether there is opacity.
_HEAD = struct.Struct("<qqqqqIII?")


class Spool:
    """A file that frames are appended to, after those of an interrupted run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab")

    def append(self, frame: Frame) -> None:
        """Append a frame; raises OSError if the disk is full."""
        content = np.ascontiguousarray(frame.image)
        base = frame.time_base
        times = frame.index, frame.pts, frame.duration, base.numerator, base.denominator
        kind = frame.height, frame.width, content.itemsize, frame.alpha is not None
        self._file.write(_HEAD.pack(*times, *kind))
        self._file.write(content.data)
        if frame.alpha is not None:
            self._file.write(np.ascontiguousarray(frame.alpha).data)

    def sync(self) -> None:
        """Wait until all frames are on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def discard(self) -> None:
        """Remove the file."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def close(self) -> None:
        """Close the file; frames that no longer fit on the disk are lost."""
        with contextlib.suppress(OSError):
            self._file.close()


def read_spool(path: Path, first: int, stop: int) -> Iterator[Frame]:
    """Yield the frames from ``first`` up to ``stop``, fewer if the file is damaged.

    Then the file is truncated: what follows is of a run that was cut short. Raises OSError.
    """
    if not path.exists():
        return
    with path.open("r+b") as file:
        for index in range(first, stop):
            frame = _read(file)
            if frame is None or frame.index != index:
                return
            yield frame
        file.truncate()


def _read(file: BinaryIO) -> Frame | None:
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    index, pts, duration, upper, lower, height, width, size, has_alpha = _HEAD.unpack(head)
    pixels = height * width
    content, opacity = file.read(3 * pixels * size), file.read(pixels if has_alpha else 0)
    if len(content) < 3 * pixels * size or len(opacity) < (pixels if has_alpha else 0):
        return None
    levels: Any = np.frombuffer(content, np.uint16 if size == 2 else np.uint8)
    image, base = levels.reshape(height, width, 3), Fraction(upper, lower)
    alpha = np.frombuffer(opacity, np.uint8).reshape(height, width) if has_alpha else None
    return Frame(image, index, pts, base, duration, alpha)
