"""Decoding a container: frames and packets with repaired timestamps."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import av

from vidream.media.container import OpenInput, check_size, open_container
from vidream.media.decoder import ClipFacts, Decoded, Decoder
from vidream.media.demuxer import MICROSECOND, Demuxer, count
from vidream.media.interlacing import deinterlace
from vidream.media.places import Source
from vidream.media.streams import (
    alpha_decoder,
    chapters_of,
    choose_audio,
    choose_subtitles,
    choose_video,
    log_unused_tracks,
    read_cover,
    tags_of,
)
from vidream.media.timeouts import DecodeTimeoutError
from vidream.media.timestamps import TimeBase, TimestampRepair, clamp_ticks
from vidream.media.tracks import TrackPacket

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DecodePolicy:
    """Assumptions about recordings that declare nothing, in seconds."""

    late_start: float = 10  # start time from which a clock is a camera's own
    run_up: float = 20  # within which any broadcast has a key frame
    warm_up: float = 1  # decoded before a frame that is sought: filters look back
    rate: int = 25  # frames per second
    packet: float = 0.02  # length of an audio packet
    most_lag: float = 1


POLICY = DecodePolicy()


class ContainerDecoder(Decoder):
    """Decodes the film of a container, in the order of its packets.

    Args:
        source: a file, a pipe or a camera.
        sound: whether sound is among the tracks.
        again: whether it was opened before, and what it says of itself is known.

    Raises:
        InputError: it cannot be opened, or holds no video.
    """

    def __init__(self, source: Source, *, sound: bool = True, again: bool = False) -> None:
        self.source, self._file = source, open_container(source)
        try:
            file = self._file
            video = choose_video(file)
            audio = choose_audio(file)
            self.tracks = [*(audio if sound else ()), *choose_subtitles(file)]
            self._packets = Demuxer(file, [video, *self.tracks])
            self.start = self._packets.start
            self._stream, self._video = video, _VideoDecoder(file, video)
            self._times = {
                track.index: (_AudioTimes if track.type == "audio" else _SubtitleTimes)(n, track)
                for n, track in enumerate(self.tracks)
            }
            own_clock = self._packets.is_broadcast or self.start > POLICY.late_start
            self.offset = self.start if own_clock else Fraction(0)
            if not again:
                log_unused_tracks(file, [video, *audio, *self.tracks])
                self.facts = _facts(file, video)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def interrupt(self) -> None:
        """Stop another thread from waiting for data."""
        self._file.worker.interrupt()

    def extend_timeout(self) -> None:
        """Wait longer for data from now on: this is a recording."""
        self._file.worker.extend_timeout()

    @property
    def base(self) -> Fraction:
        """Seconds per unit of the frames' times."""
        return self._video.ticks.base

    @property
    def is_unseekable(self) -> bool:
        """Whether it is an MP4 or MOV on a pipe, which may have its index at its end."""
        return self.source.is_pipe and self._file.container.format.name.startswith("mov,")

    @property
    def length(self) -> Fraction:
        """Length in seconds: what the file says, or what was read if that is more."""
        return max(self.facts.length, self._packets.reached)

    def begin_at(self, begin: Fraction) -> None:
        """Count times from this one, seeking to a key frame before it where possible.

        FFmpeg seeks to the wrong place where clocks jump: in a broadcast packets are skipped.
        """
        self.offset = begin
        for ticks in (self._video.ticks, *(times.ticks for times in self._times.values())):
            ticks.refine(begin)
        if begin > self.start:
            if self._packets.is_broadcast:
                self._video.skip_until = begin - Fraction(POLICY.run_up)
            else:
                self._packets.seek(begin)

    def seek(self, time: Fraction) -> None:
        """Go to a key frame a little before a time, on the clock of the frames."""
        if not self._packets.is_broadcast:
            self._packets.seek(self.offset + time - Fraction(POLICY.warm_up))

    def items(self) -> Iterator[Decoded | TrackPacket]:
        """Yield frames, deinterlaced, and packets of the tracks, to the end."""
        yield from deinterlace(self._stored(), self._stream)

    def _stored(self) -> Iterator[Decoded | TrackPacket]:
        for packet in self._packets:
            if (times := self._times.get(packet.stream.index)) is not None:
                yield from times.put(packet, self.offset)
            else:
                yield from self._video.put(packet, self.offset)
        yield from self._video.end(self.offset)
        for times in self._times.values():
            yield from times.end(self.offset)
        self._log_faults()

    def packets(self) -> Iterator[TrackPacket]:
        """Yield the packets of the tracks that are left, decoding no frame."""
        for packet in self._packets:
            if (times := self._times.get(packet.stream.index)) is not None:
                yield from times.put(packet, self.offset)
        for times in self._times.values():
            yield from times.end(self.offset)

    def _log_faults(self) -> None:
        self._video.log_damage()
        repairs = [times.repair for times in self._times.values() if times.repair is not None]
        repaired = sum(repair.repaired + repair.dropped for repair in repairs)
        if repaired:
            _log.info("%s of sound repaired", count(repaired, "timestamp"))
        if self._video.repair.dropped:
            _log.info(
                "%s left out: there is no time for it", count(self._video.repair.dropped, "frame")
            )
        self._packets.log_faults()


def _facts(file: OpenInput, video: av.VideoStream) -> ClipFacts:
    return ClipFacts(
        aspect=video.sample_aspect_ratio,
        rate=video.average_rate or video.guessed_rate,
        tick=video.base_rate,
        frames=video.frames or None,
        length=(file.container.duration or 0) * MICROSECOND,
        tags=tags_of(file.container),
        chapters=chapters_of(file.container),
        cover=read_cover(file),
    )


class _VideoDecoder:
    """Decodes a video stream, with increasing timestamps."""

    def __init__(self, file: OpenInput, stream: av.VideoStream) -> None:
        self._file, self._stream = file, stream
        self._alpha_decoder = alpha_decoder(stream)
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
        other = self._alpha_decoder
        decode = packet.decode if other is None else partial(other.decode, packet)
        yield from self._decode(decode, offset)

    def end(self, offset: Fraction) -> Iterator[Decoded]:
        """Yield the frames that the decoder has buffered."""
        # A truncated file does not flush the decoder by itself.
        decoder = self._alpha_decoder or self._stream.codec_context
        yield from self._decode(decoder.decode, offset)
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
        usual = round(POLICY.packet / stream.time_base)
        self.repair: TimestampRepair[Any] | None = TimestampRepair(usual)

    def put(self, packet: Any, offset: Fraction) -> Iterator[TrackPacket]:
        if packet.size and self.repair is not None:
            when = packet.pts if packet.dts is None else packet.dts
            yield from self._moved(self.repair.put(when, packet), offset)

    def end(self, offset: Fraction) -> Iterator[TrackPacket]:
        if self.repair is not None:
            yield from self._moved(self.repair.end(), offset)

    def _moved(self, known: list[tuple[int, Any]], offset: Fraction) -> Iterator[TrackPacket]:
        for when, packet in known:
            timed = packet.pts is not None and packet.dts is not None
            lag = packet.pts - packet.dts if timed else 0
            lag = 0 if abs(lag * packet.time_base) > POLICY.most_lag else lag
            packet.dts = clamp_ticks(self.ticks.since(when, offset))
            packet.pts = clamp_ticks(packet.dts + lag * self.ticks.factor)
            packet.duration = clamp_ticks(packet.duration * self.ticks.factor)
            packet.time_base = self.ticks.base
            yield TrackPacket(self._number, packet)


class _SubtitleTimes(_AudioTimes):
    """Shifts the timestamps of subtitles, which are too rare to wait for the next one."""

    def __init__(self, number: int, stream: Any) -> None:
        super().__init__(number, stream)
        self.repair = None

    def put(self, packet: Any, offset: Fraction) -> Iterator[TrackPacket]:
        if not packet.size or packet.pts is None:
            return
        start = self.ticks.since(packet.pts, offset)
        end = start + (packet.duration or 0) * self.ticks.factor
        if start < 0 < end:  # it is shown where a cut begins
            start = 0
        packet.pts = packet.dts = clamp_ticks(start)
        packet.duration = clamp_ticks(end - start)
        packet.time_base = self.ticks.base
        yield TrackPacket(self._number, packet)
