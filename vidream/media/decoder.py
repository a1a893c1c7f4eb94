"""Decoded frames and audio packets of a container, with repaired timestamps."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from vidream.media.audio_source import AudioPacket
from vidream.media.container import OpenInput, check_size
from vidream.media.demuxer import Demuxer, count
from vidream.media.timeouts import DecodeTimeoutError
from vidream.media.timestamps import TimeBase, TimestampRepair, clamp_ticks

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DecodePolicy:
    """Assumptions about recordings that declare nothing, in seconds."""

    late_start: float = 10  # start time from which a clock is a camera's own
    run_up: float = 20  # within which any broadcast has a key frame
    rate: int = 25  # frames per second
    packet: float = 0.02  # length of an audio packet
    most_lag: float = 1


POLICY = DecodePolicy()


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded frame, as stored; times in units of the stream's time base."""

    pts: int
    frame: av.VideoFrame = field(repr=False)  # whose own timestamps are not valid
    duration: int = 0  # 0 if unknown


class Decoder:
    """Decodes a container's streams, in the order of its packets.

    Times are the recording's own; those of broadcasts and cameras begin at 0.
    """

    def __init__(self, file: OpenInput, video: av.VideoStream, audio: list[Any]) -> None:
        self._packets = Demuxer(file, [video, *audio])
        self._video = _VideoDecoder(file, video)
        self._audio = [_AudioTimes(number, track) for number, track in enumerate(audio)]
        self._index = {track.index: times for track, times in zip(audio, self._audio, strict=True)}
        self.start = self._packets.start
        own_clock = self._packets.is_broadcast or self.start > POLICY.late_start
        self.offset = self.start if own_clock else Fraction(0)  # of time 0

    @property
    def base(self) -> Fraction:
        """Seconds per unit of the frames' times."""
        return self._video.ticks.base

    def begin_at(self, begin: Fraction) -> None:
        """Count times from this one, seeking to a key frame before it where possible.

        FFmpeg seeks to the wrong place where clocks jump: in a broadcast packets are skipped.
        """
        self.offset = begin
        for ticks in (self._video.ticks, *(times.ticks for times in self._audio)):
            ticks.refine(begin)
        if begin > self.start:
            if self._packets.is_broadcast:
                self._video.skip_until = begin - Fraction(POLICY.run_up)
            else:
                self._packets.seek(begin)

    def items(self) -> Iterator[Decoded | AudioPacket]:
        """Yield frames and audio packets, to the end."""
        for packet in self._packets:
            if (audio := self._index.get(packet.stream.index)) is not None:
                yield from audio.put(packet, self.offset)
            else:
                yield from self._video.put(packet, self.offset)
        yield from self._video.end(self.offset)
        for times in self._audio:
            yield from times.end(self.offset)
        self._log_faults()

    def audio(self) -> Iterator[AudioPacket]:
        """Yield the audio packets that are left."""
        for packet in self._packets:
            if (audio := self._index.get(packet.stream.index)) is not None:
                yield from audio.put(packet, self.offset)
        for times in self._audio:
            yield from times.end(self.offset)

    def _log_faults(self) -> None:
        self._video.log_damage()
        repairs = [times.repair for times in self._audio]
        repaired = sum(repair.repaired + repair.dropped for repair in repairs)
        if repaired:
            _log.info("%s of sound repaired", count(repaired, "timestamp"))
        if self._video.repair.dropped:
            _log.info(
                "%s left out: there is no time for it", count(self._video.repair.dropped, "frame")
            )
        self._packets.log_faults()


class _VideoDecoder:
    """Decodes a video stream, with increasing timestamps."""

    def __init__(self, file: OpenInput, stream: av.VideoStream) -> None:
        self._file, self._stream = file, stream
        self.skip_until: Fraction | None = None
        base = stream.time_base or Fraction(1, 1000)
        self.ticks = TimeBase(base)
        rate = stream.average_rate or stream.guessed_rate or POLICY.rate
        self.repair: TimestampRepair[tuple[av.VideoFrame, int]] = TimestampRepair(
            round(1 / (rate * base))
        )
        # AVI numbers its packets, and has no presentation order.
        self._is_numbered = file.container.format.name == "avi"
        self._delay: int | None = None
        self._number: int | None = None
        self._damaged = 0

    def put(self, packet: Any, offset: Fraction) -> Iterator[Decoded]:
        """Decode a packet, unless it is to be skipped."""
        when = packet.pts if packet.dts is None else packet.dts
        skip = self.skip_until
        if skip is not None and when is not None and when * packet.time_base < skip:
            return
        self.skip_until = None
        yield from self._decode(packet.decode, offset)

    def end(self, offset: Fraction) -> Iterator[Decoded]:
        """Yield the frames that the decoder has buffered."""
        # A truncated file does not flush the decoder by itself.
        yield from self._decode(self._stream.codec_context.decode, offset)
        yield from self._timed(self.repair.end(), offset)

    def _decode(self, decode: Callable[[], Iterable[Any]], offset: Fraction) -> Iterator[Decoded]:
        try:
            frames = self._file.worker.run(lambda: list(decode()))
        except av.error.EOFError:
            return
        except (av.FFmpegError, DecodeTimeoutError) as error:
            self._damaged += 1
            _log.debug("a packet of %s cannot be decoded: %s", self._file.source.name, error)
            return
        for frame in frames:
            check_size(self._file.source.name, frame.width, frame.height)
            item = (frame, frame.duration or 0)
            yield from self._timed(self.repair.put(self._time(frame), item), offset)

    def _time(self, frame: av.VideoFrame) -> int | None:
        if not self._is_numbered:
            return None if frame.pts is None else int(frame.pts)
        if frame.dts is None:  # flushed, with no packet to number it by
            self._number = None if self._number is None else self._number + 1
            return self._number
        if self._delay is None:
            self._delay = frame.dts - (frame.dts if frame.pts is None else frame.pts)
        self._number = frame.dts - self._delay
        return self._number

    def _timed(
        self, known: list[tuple[int, tuple[av.VideoFrame, int]]], offset: Fraction
    ) -> Iterator[Decoded]:
        for pts, (frame, duration) in known:
            yield Decoded(self.ticks.since(pts, offset), frame, duration * self.ticks.factor)

    def log_damage(self) -> None:
        """Log how many packets and timestamps were damaged."""
        if self._damaged:
            _log.info("%s passed over", count(self._damaged, "damaged packet"))
        if self.repair.repaired:
            many = count(self.repair.repaired, "missing, double or backward timestamp")
            _log.info("%s: frames put between their neighbours", many)


class _AudioTimes:
    """Repairs and shifts the timestamps of an audio track."""

    def __init__(self, number: int, stream: Any) -> None:
        self._number = number
        self.ticks = TimeBase(stream.time_base)
        self.repair: TimestampRepair[Any] = TimestampRepair(round(POLICY.packet / stream.time_base))

    def put(self, packet: Any, offset: Fraction) -> Iterator[AudioPacket]:
        if packet.size:
            when = packet.pts if packet.dts is None else packet.dts
            yield from self._moved(self.repair.put(when, packet), offset)

    def end(self, offset: Fraction) -> Iterator[AudioPacket]:
        yield from self._moved(self.repair.end(), offset)

    def _moved(self, known: list[tuple[int, Any]], offset: Fraction) -> Iterator[AudioPacket]:
        for when, packet in known:
            timed = packet.pts is not None and packet.dts is not None
            lag = packet.pts - packet.dts if timed else 0
            lag = 0 if abs(lag * packet.time_base) > POLICY.most_lag else lag
            packet.dts = clamp_ticks(self.ticks.since(when, offset))
            packet.pts = clamp_ticks(packet.dts + lag * self.ticks.factor)
            packet.duration = clamp_ticks(packet.duration * self.ticks.factor)
            packet.time_base = self.ticks.base
            yield AudioPacket(self._number, packet)
