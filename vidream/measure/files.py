"""A source and its dream as files, read side by side."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction

from vidream.errors import InputError
from vidream.frames import Frame, Picture, to_eight_bits
from vidream.media import Place
from vidream.reader import Reader, open_reader
from vidream.settings import ReadSettings
from vidream.timeline import Clock

_log = logging.getLogger(__name__)


class ClipPair:
    """Frames of a clip and of its dream, pair by pair; the source scaled to the dream's size.

    A context manager and an iterable, to be run through once. Frames are paired by their number,
    not by their time: a dream has one frame for each of its source's. The clips are counted as
    they are read, so that neither is ever held in memory.

    Args:
        source: path of the source.
        dream: path of its dream. If it is shorter than the source, the rest is left out.
        read: which part of the source the dream was made of. Its ``frames`` limit the dream too;
            its size is the dream's, whatever it says.

    Attributes:
        time: when the source's frame of the last pair shows, in seconds since the clip began.

    Raises:
        InputError: there is no video to read there; while iterating: the dream is the longer one.
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

    def __enter__(self) -> ClipPair:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def expected(self) -> int | None:
        """How many pairs are to be expected, as far as the files tell."""
        counts = [c for c in (self._source.info.frames, self._dream.info.frames) if c]
        return min(counts, default=None)

    def __iter__(self) -> Iterator[tuple[Picture, Picture]]:
        """Give the pairs: uint8 ``[H, W, 3]`` of the source, and of the dream."""
        sources, dreams = _frames(self._source), _frames(self._dream)
        count = 0
        for dream in dreams:
            source = next(sources, None)
            if source is None:
                raise InputError(
                    f"the dream goes on after the source's {count} frames: give the clip that it "
                    "was made of, with the --start and --fps that it was made with"
                )
            self.time = self._clock(source)
            yield to_eight_bits(source.image), to_eight_bits(dream.image)
            count += 1
        if next(sources, None) is not None:
            _log.info("the dream ends after %d frames: the rest of the source is left out", count)


def _frames(reader: Reader) -> Iterator[Frame]:
    return (item for item in reader if isinstance(item, Frame))
