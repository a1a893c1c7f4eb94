"""Deinterlacing, frame for frame."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import av

from vidream.media.decoder import Decoded
from vidream.media.graphs import filter_graph, input_of, pull
from vidream.media.tracks import TrackPacket

_log = logging.getLogger(__name__)

# Decoders that mark each frame; for the others the file's header counts.
_MARKING = frozenset(("h264", "hevc", "mpeg2video", "mpeg4", "vc1", "dvvideo"))
_ORDERS = {2: "tff", 3: "bff", 4: "bff", 5: "tff"}  # by AVFieldOrder


def deinterlace(
    items: Iterable[Decoded | TrackPacket], stream: av.VideoStream
) -> Iterator[Decoded | TrackPacket]:
    """Deinterlace the frames that are marked as interlaced, or all if the file says so.

    Each stays one frame at its time (bwdif). Other frames pass bit for bit.
    """
    context = stream.codec_context
    order = None if context.name in _MARKING else _ORDERS.get(int(context.field_order or 0))
    filtered: _Deinterlacer | None = None
    for item in items:
        if isinstance(item, TrackPacket):
            yield item
            continue
        if filtered is not None and _kind(item.frame) != filtered.kind:
            yield from filtered.end()
            filtered = None
        if filtered is None and (order or item.frame.interlaced_frame):
            _log.debug("frames are interlaced from %d on", item.pts)
            filtered = _Deinterlacer(item.frame, order)
        if filtered is None:
            yield item
        else:
            yield from filtered.put(item)
    if filtered is not None:
        yield from filtered.end()


class _Deinterlacer:
    """FFmpeg's bwdif, which needs the next frame."""

    def __init__(self, frame: av.VideoFrame, order: str | None) -> None:
        self.kind = _kind(frame)
        self._waiting: deque[Decoded] = deque()
        self._count = 0
        marks = [("setfield", order)] if order else []
        bwdif = ("bwdif", "mode=send_frame:deint=interlaced")
        self._graph = filter_graph(input_of(frame), [*marks, bwdif])

    def put(self, item: Decoded) -> Iterator[Decoded]:
        self._waiting.append(item)
        item.frame.pts, self._count = self._count, self._count + 1
        self._graph.vpush(item.frame)
        yield from self._timed(pull(self._graph))

    def end(self) -> Iterator[Decoded]:
        yield from self._timed(pull(self._graph, end=True))

    def _timed(self, frames: Iterable[av.VideoFrame]) -> Iterator[Decoded]:
        for frame in frames:
            if self._waiting:
                item = self._waiting.popleft()
                yield Decoded(item.pts, frame, item.duration)


def _kind(frame: av.VideoFrame) -> tuple[Any, ...]:
    return frame.width, frame.height, frame.format.name
