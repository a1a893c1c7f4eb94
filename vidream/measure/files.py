"""Reads the files of a source and its dream in parallel."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction

from vidream.core.closeable import Closeable
from vidream.core.errors import InputError
from vidream.core.frames import Picture, to_eight_bits
from vidream.core.settings import ReadSettings
from vidream.media.places import Place
from vidream.media.reader import open_reader
from vidream.timeline.timeline import Clock

_log = logging.getLogger(__name__)


class ClipPair(Closeable):
    """Pairs of frames, by number, of a clip and its dream; the source takes the dream's size.

    A context manager and an iterable for one pass.

    Args:
        source: path of the source.
        dream: path of its dream, which may be shorter.
        read: the part of the source that was dreamed; ``frames`` limits both, the size is ignored.

    Attributes:
        time: of the last pair, in seconds since the start of the clip.

    Raises:
        InputError: there is no video to read; while iterating: the dream is longer.
    """

    def __init__(self, source: Place, dream: Place, read: ReadSettings | None = None) -> None:
        read = read or ReadSettings()
        self.time = Fraction(0)
        self._clock = Clock(read.start)
        with ExitStack() as stack:
            self._dream = stack.enter_context(open_reader(dream, ReadSettings(frames=read.frames)))
            info = self._dream.info
            sized = replace(read, width=info.width, height=info.height, max_side=None)
            self._source = stack.enter_context(open_reader(source, sized))
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Close both files."""
        self._stack.close()

    @property
    def expected(self) -> int | None:
        """Number of pairs, as far as the files declare it."""
        counts = [c for c in (self._source.info.frames, self._dream.info.frames) if c]
        return min(counts, default=None)

    def __iter__(self) -> Iterator[tuple[Picture, Picture]]:
        """Yield frames of the source and of the dream, uint8 ``[H, W, 3]`` RGB."""
        sources, dreams = iter(self._source), iter(self._dream)
        count = 0
        for dream in dreams:
            source = next(sources, None)
            if source is None:
                raise InputError(
                    f"the dream goes on after the source's {count} frames: give the clip that it "
                    "was made of, with the `start` and `fps` that it was made with"
                )
            self.time = self._clock(source)
            yield to_eight_bits(source.image), to_eight_bits(dream.image)
            count += 1
        if next(sources, None) is not None:
            _log.info("the dream ends after %d frames: the rest of the source is left out", count)
