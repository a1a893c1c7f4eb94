"""Joining segments to one file: as they are, or encoded as a whole where the kind of file wants it.

Imports PyAV: packets are taken out of one file and put into another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av

from vidream.core.errors import OutputError
from vidream.core.frames import Frame
from vidream.media.encoder import VideoEncoder
from vidream.media.reader import open_reader
from vidream.render.segments import Segment

OnJoin = Callable[[int, int], None]
"""Called with how many frames are joined so far, and how many will be in all."""

Pieces = list[tuple[Segment, Path]]
"""Segments in their order, and their files."""


def join(pieces: Pieces, encoder: VideoEncoder, on_join: OnJoin | None, *, copy: bool) -> None:
    """Write segments one after the other.

    Args:
        pieces: the segments.
        encoder: of the whole; of the same settings as those of the segments.
        on_join: called after each frame; may raise to stop.
        copy: whether packets are copied, and not pictures encoded anew.

    Raises:
        OutputError: a segment cannot be read, or the whole cannot be written.
    """
    done, total = 0, sum(len(segment.times) for segment, _ in pieces)
    clock = _DecodingClock([segment for segment, _ in pieces])
    for segment, path in pieces:
        if not segment.times:
            continue
        if copy:
            for packet in _packets(path, segment, clock):
                encoder.write_encoded(packet)
                done = _report(done, total, on_join)
        else:
            for frame in _frames(path, segment):
                encoder.write(frame)
                done = _report(done, total, on_join)


def _report(done: int, total: int, on_join: OnJoin | None) -> int:
    if on_join is not None:
        on_join(done + 1, total)
    return done + 1


class _DecodingClock:
    """When packets are to be decoded: a decoder that holds back as many as needed must never wait.

    Each segment counts from its own beginning, and what an encoder makes up for its first packets
    need not fit to what is before them.

    Args:
        segments: all of them.
    """

    def __init__(self, segments: list[Segment]) -> None:
        self._shown = [pts for segment in segments for pts, _ in segment.times]
        self._delay = max(
            (place - rank for s in segments for place, rank in enumerate(s.order)), default=0
        )
        self._place = 0

    def next(self) -> int:
        """Return the time at which the next packet is decoded."""
        shown, back = self._shown, self._place - self._delay
        self._place += 1
        if back >= 0:
            return shown[back]
        # No sooner before it is shown than the first: MP4 puts the beginning where that is least.
        return shown[self._place - 1] - (shown[min(self._delay, len(shown) - 1)] - shown[0])


def _packets(path: Path, segment: Segment, clock: _DecodingClock) -> Iterator[av.Packet[Any]]:
    """Yield the packets of a segment, at their times in the whole."""
    try:
        with av.open(f"file:{path}") as file:
            stream = file.streams.video[0]
            context = stream.codec_context
            prefix = _length_bytes(context.name, context.extradata)
            packets = (packet for packet in file.demux(stream) if packet.pts is not None)
            for stored, rank in zip(packets, segment.order, strict=True):
                packet: av.Packet[Any] = stored
                if prefix:
                    packet = av.Packet(_with_start_codes(bytes(stored), prefix))
                    packet.is_keyframe = stored.is_keyframe
                packet.time_base = segment.base
                packet.pts, packet.duration = segment.times[rank]
                packet.dts = clock.next()
                yield packet
    except (av.FFmpegError, OSError, ValueError) as error:
        raise OutputError(
            f"{path} is damaged ({error}): remove {path.parent} to begin anew"
        ) from error


def _length_bytes(codec: str, header: bytes | None) -> int:
    """Return how many bytes say how long each part of a packet is; 0 if start codes part them.

    H.264 and HEVC have two ways to say where parts end. Files store the one, encoders give the
    other, by which a muxer tells what it is given.
    """
    place = {"h264": 4, "hevc": 21}.get(codec)
    if place is None or not header or header[0] != 1:
        return 0
    return (header[place] & 3) + 1


def _with_start_codes(content: bytes, prefix: int) -> bytes:
    parts, at = [], 0
    while at + prefix <= len(content):
        length = int.from_bytes(content[at : at + prefix], "big")
        at += prefix
        parts += [b"\0\0\0\1", content[at : at + length]]
        at += length
    return b"".join(parts)


def _frames(path: Path, segment: Segment) -> Iterator[Frame]:
    """Yield the pictures of a segment, at their times in the whole."""
    with open_reader(path) as reader:
        for picture, (pts, duration) in zip(reader, segment.times, strict=True):
            yield Frame(picture.image, picture.index, pts, segment.base, duration)
