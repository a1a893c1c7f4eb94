"""Encoded sound and subtitles on their way from a source to an encoder."""

import logging
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

_log = logging.getLogger(__name__)


def takes(out: Any, allowed: frozenset[str] | None, template: Any) -> bool:
    """Whether a file takes a track as it is: one of the ``allowed`` codecs, or any that it can."""
    codec = template.codec_context
    held = out.supported_codecs if allowed is None else allowed
    return codec.name in held or codec.codec.canonical_name in held


@dataclass(frozen=True, slots=True)
class TrackPacket:
    """A packet and the number of its track, from 0."""

    track: int
    packet: Any = field(repr=False)

    @property
    def time(self) -> Fraction:
        """Presentation time in seconds, on the clock of the frames."""
        return Fraction(self.packet.pts * self.packet.time_base)


Packets = Generator[TrackPacket, None, None]


class TrackSource:
    """The sound and subtitles of a clip, to be read through once; by default none."""

    streams: Sequence[Any] = ()  # templates for an encoder, one a track, while the file is open
    ends_with_video = False  # whether it is cut where the last frame ends

    def until(self, time: Fraction | None) -> Iterator[TrackPacket]:  # noqa: ARG002
        """Yield the next packets that begin before a time in seconds; all for None.

        The time of the first call is that of the first frame.
        """
        return iter(())


class SequentialTracks(TrackSource):
    """Packets that are read on demand, in the file's order."""

    def __init__(self, streams: Sequence[Any], packets: Packets, *, ends_with_video: bool) -> None:
        self.streams, self.ends_with_video = streams, ends_with_video
        self._packets = packets
        self._next: TrackPacket | None = None

    def until(self, time: Fraction | None) -> Iterator[TrackPacket]:
        """Yield the next packets that begin before a time."""
        while packet := self._next or next(self._packets, None):
            self._next = packet
            if time is not None and packet.time >= time:
                return
            self._next = None
            yield packet

    def close(self) -> None:
        """Close the iterator of packets."""
        self._packets.close()


class CombinedTracks(TrackSource):
    """The tracks of several sources, one after the other."""

    def __init__(self, *sources: TrackSource) -> None:
        self._sources = sources
        self.streams = [stream for source in sources for stream in source.streams]
        self.ends_with_video = any(source.ends_with_video for source in sources)

    def until(self, time: Fraction | None) -> Iterator[TrackPacket]:
        """Yield the next packets of each that begin before a time."""
        before = 0
        for source in self._sources:
            for packet in source.until(time):
                yield TrackPacket(before + packet.track, packet.packet)
            before += len(source.streams)


class LiveTracks(TrackSource):
    """Packets of a source that is read once, queued until its frames are written. Thread-safe.

    Args:
        most: bytes that may be queued; packets beyond them are dropped.
    """

    def __init__(self, streams: Sequence[Any], *, ends_with_video: bool, most: int) -> None:
        self.streams, self.ends_with_video = streams, ends_with_video
        self._waiting: deque[tuple[Fraction | None, TrackPacket]] = deque()
        self._most = most
        self._put = self._taken = 0  # bytes; each is changed by one thread only
        self._full = False

    def put(self, packet: TrackPacket, after: Fraction | None) -> None:
        """Queue a packet that follows the frame of a time in the stream; None: precedes all."""
        size = packet.packet.size
        if self._put + size - self._taken <= self._most:
            self._put += size
            self._waiting.append((after, packet))
        elif not self._full:
            self._full = True
            _log.warning("more than %d MiB of sound without a frame: lost", self._most >> 20)

    def until(self, time: Fraction | None) -> Iterator[TrackPacket]:
        """Yield the packets that precede the frame of a time in the stream."""
        while self._waiting:
            after, packet = self._waiting[0]
            if time is not None and after is not None and after >= time:
                return
            self._waiting.popleft()
            self._taken += packet.packet.size
            yield packet


def before(
    packets: Iterable[TrackPacket], templates: Sequence[Any], end: Fraction | None
) -> Iterator[TrackPacket]:
    """Yield packets that begin before a time, until all sound has reached it.

    The next subtitle may be far away, and is waited for only where there is no sound.
    """
    sound = {number for number, template in enumerate(templates) if template.type == "audio"}
    going_on = sound or set(range(len(templates)))
    for packet in packets if going_on else ():
        if end is None or packet.time < end:
            yield packet
        else:
            going_on.discard(packet.track)
        if not going_on:
            return
