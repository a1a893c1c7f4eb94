"""Interlaced frames made whole ones, frame for frame."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import av
import av.filter
import av.video

from vidream.media import AudioPacket
from vidream.reader.packets import Decoded

_log = logging.getLogger(__name__)

# Decoders that mark each frame as what it is; for the others the file's header counts.
_MARKING = frozenset(("h264", "hevc", "mpeg2video", "mpeg4", "vc1", "dvvideo"))
_ORDERS = {2: "tff", 3: "bff", 4: "bff", 5: "tff"}  # by AVFieldOrder: what is shown first


def deinterlaced(
    items: Iterable[Decoded | AudioPacket], stream: av.VideoStream
) -> Iterator[Decoded | AudioPacket]:
    """Deinterlace the frames that are marked as interlaced, or all if the file says so.

    Each stays one frame at its time: bwdif makes of two fields the picture of the first, and looks
    at the frames before and after. Other frames pass as they are, bit for bit.
    """
    context = stream.codec_context
    order = None if context.name in _MARKING else _ORDERS.get(int(context.field_order or 0))
    filtered: _Deinterlacer | None = None
    for item in items:
        if isinstance(item, AudioPacket):
            yield item
            continue
        if filtered is not None and not filtered.takes(item.frame):
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
    """FFmpeg's bwdif, which gives each frame when it has seen the next."""

    def __init__(self, frame: av.VideoFrame, order: str | None) -> None:
        self._kind = _kind(frame)
        self._waiting: deque[Decoded] = deque()
        self._count = 0
        self._graph = av.filter.Graph()
        nodes = [
            self._graph.add(
                "buffer",
                f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:"
                "time_base=1/1000:pixel_aspect=1/1",
            )
        ]
        nodes += [self._graph.add("setfield", order)] if order else []
        nodes += [self._graph.add("bwdif", "mode=send_frame:deint=interlaced")]
        self._graph.link_nodes(*nodes, self._graph.add("buffersink")).configure()

    def takes(self, frame: av.VideoFrame) -> bool:
        return _kind(frame) == self._kind

    def put(self, item: Decoded) -> Iterator[Decoded]:
        self._waiting.append(item)
        item.frame.pts, self._count = self._count, self._count + 1
        self._graph.vpush(item.frame)
        yield from self._given()

    def end(self) -> Iterator[Decoded]:
        self._graph.vpush(None)
        yield from self._given()

    def _given(self) -> Iterator[Decoded]:
        while self._waiting:
            try:
                frame = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            item = self._waiting.popleft()
            yield Decoded(item.pts, frame, item.duration)


def _kind(frame: av.VideoFrame) -> tuple[Any, ...]:
    return frame.width, frame.height, frame.format.name
