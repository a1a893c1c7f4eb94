"""The pictures of a segment that is not finished, as they were shown: raw, one after the other."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vidream.core.frames import Frame

_HEAD = struct.Struct("<qqqqqIII")  # index, pts, duration, time base, height, width, bytes


class Spool:
    """A file that frames are added to, and read from again after a run was cut short.

    Args:
        path: of the file; what is there already is kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab")

    def append(self, frame: Frame) -> None:
        """Add a frame.

        Raises:
            OSError: there is no room for it.
        """
        content = np.ascontiguousarray(frame.image)
        base = frame.time_base
        self._file.write(
            _HEAD.pack(
                *(frame.index, frame.pts, frame.duration, base.numerator, base.denominator),
                *(frame.height, frame.width, content.itemsize),
            )
        )
        self._file.write(content.data)

    def sync(self) -> None:
        """Wait until all of it is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def discard(self) -> None:
        """Remove it."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def close(self) -> None:
        """Close the file; what does not fit on the disk any more is lost."""
        with contextlib.suppress(OSError):
            self._file.close()


def read_spool(path: Path, first: int, stop: int) -> Iterator[Frame]:
    """Give the frames from ``first`` up to ``stop``, and cut the file off after them.

    Fewer if it is damaged: what a crash left half written is dropped.

    Raises:
        OSError: it cannot be read.
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
    index, pts, duration, upper, lower, height, width, size = _HEAD.unpack(head)
    content = file.read(3 * height * width * size)
    if len(content) < 3 * height * width * size:
        return None
    image: Any = np.frombuffer(content, np.uint16 if size == 2 else np.uint8).reshape(
        height, width, 3
    )
    return Frame(image, index, pts, Fraction(upper, lower), duration)
