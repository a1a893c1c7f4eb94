"""Companions of a clip: a picture, or a video that runs in step with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Self

from vidream.errors import InputError, naming
from vidream.frames import Frame, Picture
from vidream.media import is_pipe
from vidream.reader import Reader, open_reader
from vidream.stills import is_still

_SLACK = Fraction(1, 200)  # seconds; containers round times to thousandths, GIF to hundredths


class Companion:
    """What is shown beside a clip, at any time of it. A context manager.

    Args:
        place: path of a picture, or of a video.
        role: what it is to the clip, for errors: "mask".
        read: reads a picture.

    Raises:
        InputError: it cannot be read; the message begins with its role.
    """

    def __init__(self, place: str, role: str, read: Callable[[str], Picture]) -> None:
        self._reader: Reader | None = None
        self._frames: Iterator[Frame] = iter(())
        if is_pipe(place):
            raise InputError(f"{role}: it cannot be read from a pipe: give a file")
        with naming(role):
            if is_still(place):
                self._shown = Frame(read(place))
            else:
                self._reader = open_reader(place)
                self._frames = (item for item in self._reader if isinstance(item, Frame))
                self._shown = next(self._frames)
        self._begin = self._shown.time
        self._next = next(self._frames, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.close()

    @property
    def moving(self) -> bool:
        """Whether it is a video."""
        return self._reader is not None

    def at(self, time: Fraction) -> Frame:
        """Give what is shown at a time, which is never before the one that was asked for last.

        Args:
            time: seconds since the clip began. After the companion's end its last frame holds.
        """
        while self._next is not None and self._next.time - self._begin <= time + _SLACK:
            self._shown, self._next = self._next, next(self._frames, None)
        return self._shown
