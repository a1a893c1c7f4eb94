"""Frames dropped or repeated to a constant rate."""

import logging
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain

import av

from vidream.core.frames import Frame
from vidream.media.decoder import Decoded
from vidream.media.graphs import filter_graph, input_of, pull
from vidream.media.tracks import TrackPacket

_log = logging.getLogger(__name__)

_LONGEST = 120  # seconds that a picture is repeated for the sake of a rate, at most

USUAL_RATE = 25
"""Frames per second of what does not say its rate."""


def resample_rate(
    items: Iterable[Decoded | TrackPacket], base: Fraction, rate: Fraction
) -> Iterator[Decoded | TrackPacket]:
    """Yield frames at a constant rate, timed in its inverse, and the audio packets between them."""
    graph, last, empty = None, None, True
    for item in items:
        if isinstance(item, TrackPacket):
            yield item
            continue
        shown: list[av.VideoFrame] = []
        far = _is_far((item.pts - (0 if last is None else last.pts)) * base)
        if graph is not None and far:
            shown, graph = list(pull(graph, end=True)), None
        item.frame.pts = item.pts
        # The filter shows the last picture for as long as it says.
        item.frame.duration = min(item.frame.duration or 0, int(_LONGEST / base))
        begin = "" if far else "start_time=0"
        fps = ("fps", f"fps={rate}:{begin}")
        graph = graph or filter_graph(input_of(item.frame, base), [fps])
        graph.vpush(item.frame)
        for frame in chain(shown, pull(graph)):
            empty = False
            yield Decoded(frame.pts or 0, frame)
        last = item
    if graph is not None and last is not None:
        for frame in pull(graph, end=True):
            empty = False
            yield Decoded(frame.pts or 0, frame)
        if empty:  # what is shorter than half a frame is one all the same
            yield Decoded(0, last.frame)


def _is_far(gap: Fraction) -> bool:
    """Whether a gap is too long to be filled: its timestamp may be damaged."""
    if gap <= _LONGEST:
        return False
    _log.info("a picture shows for %.0f s: it is not repeated so long", float(gap))
    return True


class ConstantRate:
    """The ticks of frames in a file without timestamps, in which every tick has a picture."""

    def __init__(self, rate: Fraction) -> None:
        self._rate = rate
        self._begin: Fraction | None = None  # time of tick 0
        self._end = Fraction(0)  # of the last frame
        self._next = 0
        self._repeated = self._lost = 0

    def repeats(self, frame: Frame) -> Iterator[int]:
        """Yield the ticks before a frame, at which the picture before it is shown again."""
        if self._begin is None:
            self._begin = frame.time
        yield from self._fill(frame.time)
        self._end = frame.time + frame.duration * frame.time_base

    def tick(self, frame: Frame) -> int | None:
        """Return the tick of a frame; None if it has none of its own."""
        assert self._begin is not None
        if round((frame.time - self._begin) * self._rate) < self._next:
            self._lost += 1
            return None
        self._next += 1
        return self._next - 1

    def end(self) -> Iterator[int]:
        """Yield the ticks at which the last picture is shown again; log what was changed."""
        yield from self._fill(self._end)
        if self._repeated or self._lost:
            lost = f" and {self._lost} left out" if self._lost else ""
            _log.info(
                "the clip has no constant rate: %d frames repeated%s, for %.5g a second; "
                "MKV, MP4, MOV and NUT keep its times",
                self._repeated, lost, float(self._rate),
            )  # fmt: skip

    def _fill(self, time: Fraction) -> Iterator[int]:
        assert self._begin is not None
        upto = round((time - self._begin) * self._rate)
        if _is_far((upto - self._next) / self._rate):
            self._begin, upto = time - self._next / self._rate, self._next
        for tick in range(self._next, upto):
            self._repeated += 1
            yield tick
        self._next = max(self._next, upto)
