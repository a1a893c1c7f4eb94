"""Joining segments to one file. Imports PyAV: packets are moved between files."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av

from vidream.core.errors import OutputError
from vidream.core.frames import Frame
from vidream.core.settings import ReadSettings
from vidream.media.encoder import VideoEncoder
from vidream.media.reader import open_reader
from vidream.render.segments import Segment

OnJoin = Callable[[int, int], None]
"""Called with the number of frames joined so far, and of all."""

Pieces = list[tuple[Segment, Path]]
"""Segments in order, and their files."""


def join(pieces: Pieces, encoder: VideoEncoder, on_join: OnJoin | None, *, copy: bool) -> None:
    """Write segments one after the other, their packets (``copy``) or pictures encoded again.

    The encoder has the settings of the segments. ``on_join`` may raise to stop.

    Raises:
        OutputError: a segment is damaged, or the file cannot be written.
    """
    total = sum(len(segment.times) for segment, _ in pieces)
    times = _decoding_times([segment for segment, _ in pieces])
    write: Callable[[Any], None] = encoder.write_encoded if copy else encoder.write
    items = (
        item
        for segment, path in pieces
        if segment.times
        for item in (_packets(path, segment, times) if copy else _frames(path, segment))
    )
    for done, item in enumerate(items, 1):
        write(item)
        if on_join is not None:
            on_join(done, total)


def frames_of(pieces: Pieces) -> Iterator[Frame]:
    """Yield the frames of segments, numbered from 0."""
    index = 0
    for segment, path in pieces:
        for frame in _frames(path, segment) if segment.times else ():
            yield replace(frame, index=index)
            index += 1


def _decoding_times(segments: list[Segment]) -> Iterator[int]:
    """Yield the DTS of each packet, so that a decoder that holds frames back never waits.

    Each segment counts from its own beginning, and what an encoder makes up for its first packets
    need not fit to what is before them.
    """
    shown = [pts for segment in segments for pts, _ in segment.times]
    delay = max((place - rank for s in segments for place, rank in enumerate(s.order)), default=0)
    for place, pts in enumerate(shown):
        if place >= delay:
            yield shown[place - delay]
        else:
            # No sooner before it is shown than the first: MP4 puts the beginning where that is
            # least.
            yield pts - (shown[min(delay, len(shown) - 1)] - shown[0])


def _packets(path: Path, segment: Segment, times: Iterator[int]) -> "Iterator[av.Packet[Any]]":
    """Yield the packets of a segment, at their times in the whole."""
    try:
        with av.open(f"file:{path}") as file:
            stream = file.streams.video[0]
            context = stream.codec_context
            prefix = _prefix_bytes(context.name, context.extradata)
            packets = (packet for packet in file.demux(stream) if packet.pts is not None)
            for stored, rank in zip(packets, segment.order, strict=True):
                packet: av.Packet[Any] = stored
                if prefix:
                    packet = av.Packet(_with_start_codes(bytes(stored), prefix))
                    packet.is_keyframe = stored.is_keyframe
                packet.time_base = segment.base
                packet.pts, packet.duration = segment.times[rank]
                packet.dts = next(times)
                yield packet
    except (av.FFmpegError, OSError, ValueError) as error:
        raise OutputError(
            f"{path} is damaged ({error}): remove {path.parent} to begin anew"
        ) from error


def _prefix_bytes(codec: str, header: bytes | None) -> int:
    """Return the size of the length prefix of each NAL unit; 0 if start codes separate them.

    H.264 and HEVC know both. Files store prefixes, encoders give start codes, by which a muxer
    recognises what it is given.
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
    """Yield the frames of a segment, at their times in the whole."""
    with open_reader(path, ReadSettings(keep_alpha=True)) as reader:
        for picture, (pts, duration) in zip(reader, segment.times, strict=True):
            yield replace(picture, pts=pts, time_base=segment.base, duration=duration)
