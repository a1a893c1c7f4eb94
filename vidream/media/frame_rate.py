"""Frames dropped or repeated to a constant rate."""

import logging
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain

import av

from vidream.media.audio_source import AudioPacket
from vidream.media.decoder import Decoded
from vidream.media.graphs import filter_graph, input_of, pull

_log = logging.getLogger(__name__)

_LONGEST = 120  # seconds that a picture is repeated for the sake of a rate, at most


def resample_rate(
    items: Iterable[Decoded | AudioPacket], base: Fraction, rate: Fraction
) -> Iterator[Decoded | AudioPacket]:
    """Yield frames at a constant rate, timed in its inverse, and the audio packets between them."""
    graph, last, empty = None, None, True
    for item in items:
        if isinstance(item, AudioPacket):
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
