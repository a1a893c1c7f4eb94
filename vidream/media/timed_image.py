"""A picture, or a video in step with the clip."""

from collections.abc import Iterator
from fractions import Fraction

from vidream.core.closeable import Closeable
from vidream.core.errors import InputError, prefix_errors
from vidream.core.frames import Frame
from vidream.core.settings import ReadSettings
from vidream.media.places import Place, Source, StillFile, parse_source
from vidream.media.reader import Reader, open_reader
from vidream.media.stills import read_still

_SLACK = Fraction(1, 200)  # seconds; containers round times to thousandths, GIF to hundredths


class TimedImage(Closeable):
    """The frame that belongs to each time of a clip. A context manager.

    Args:
        role: prefix of errors: "mask".
        settings: how it is read.
    """

    def __init__(
        self, place: Source | Place, role: str, settings: ReadSettings | None = None
    ) -> None:
        settings = settings or ReadSettings()
        self._reader: Reader | None = None
        self._frames: Iterator[Frame] = iter(())
        with prefix_errors(role):
            source = parse_source(place)
            if source.is_pipe:
                raise InputError("it cannot be read from a pipe: give a file")
            if isinstance(source, StillFile):
                still = read_still(source, settings)
                self._shown = Frame(still.image, alpha=still.alpha)
            else:
                self._reader = open_reader(source, settings)
                self._frames = iter(self._reader)
                self._shown = next(self._frames)
        self._begin = self._shown.time
        self._next = next(self._frames, None)

    def close(self) -> None:
        """Close the video."""
        if self._reader is not None:
            self._reader.close()

    @property
    def moving(self) -> bool:
        """Whether it is a video."""
        return self._reader is not None

    def at(self, time: Fraction) -> Frame:
        """Return the frame at a time in seconds since the clip began; times never decrease."""
        while self._next is not None and self._next.time - self._begin <= time + _SLACK:
            self._shown, self._next = self._next, next(self._frames, None)
        return self._shown

    def frames(self) -> Iterator[Frame]:
        """Yield the frames that are left, from the one that is shown on."""
        frame: Frame | None = self._shown
        while frame is not None:
            yield frame
            frame, self._next = self._next, next(self._frames, None)
