"""Packets pulled and decoded, on one clock. The only place where either is done."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

import av
import av.container
import av.video

from vidream.errors import InputError, reason
from vidream.media import AudioPacket
from vidream.reader.container import check_size
from vidream.reader.guard import Guard, StalledError, within
from vidream.reader.timestamps import Mender, Seams, Ticks

_log = logging.getLogger(__name__)

MICROSECOND = Fraction(1, 1_000_000)

# Kinds of recordings whose clock begins anywhere, and has no pauses.
_BROADCAST = frozenset(("mpegts", "mpeg", "wtv"))
# Seconds from which a recording of another kind began on a clock of its own, too: a camera's.
_LATE = 10
# MP4 and MOV have an index that says when everything is; what is odd in it is meant.
_INDEXED = "mov,mp4,m4a,3gp,3g2,mj2"
_SHORT = 0.02  # share of a recording that may be missing without a word
_RUN_UP = 20  # seconds, in which any broadcast has a key frame
_USUAL_RATE = 25
_USUAL_PACKET = 0.02  # seconds of sound
_MOST_LAG = 1  # seconds from which a packet that is decoded long before it sounds is a fault
_BLINK, _PATIENCE = 0.005, 10.0  # seconds between looks at a camera, and until it is given up


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded frame, as it is stored, and its time.

    Args:
        pts: when it shows, in units of the stream's time base.
        frame: the frame; its own timestamps are not to be looked at.
        duration: how long it shows, 0 if unknown.
    """

    pts: int
    frame: av.VideoFrame = field(repr=False)
    duration: int = 0


class Packets:
    """What a container holds, in the order in which it lies there.

    Times are the recording's own, unless its clock begins anywhere: then it begins at 0.

    Args:
        container: what is read.
        name: its name, for messages.
        stream: the video.
        audio: the tracks of sound.
        guard: what runs the demuxer and the decoder.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        name: str,
        stream: av.VideoStream,
        audio: list[Any],
        guard: Guard,
    ) -> None:
        self._container, self._name, self._guard = container, name, guard
        self._stream, self._audio = stream, audio
        kind = container.format.name
        self._idle_until: Fraction | None = None
        self._seams = Seams(leaps=kind in _BROADCAST) if kind != _INDEXED else None
        self._counted = kind == "avi"  # AVI numbers its packets, and knows no order of showing
        self._delay: int | None = None
        self._number: int | None = None
        base = stream.time_base or Fraction(1, 1000)
        self._ticks = {s.index: Ticks(s.time_base or base) for s in (stream, *audio)}
        rate = stream.average_rate or stream.guessed_rate or _USUAL_RATE
        self._mender: Mender[tuple[av.VideoFrame, int]] = Mender(round(1 / (rate * base)))
        self._raw = self._demux()
        self._sound_menders: list[Mender[Any]] = [
            Mender(round(_USUAL_PACKET / track.time_base)) for track in audio
        ]
        self._damaged = 0
        self._reached = Fraction(0)
        self.start = (container.start_time or 0) * MICROSECOND
        free = kind in _BROADCAST or self.start > _LATE
        self.offset = self.start if free else Fraction(0)

    @property
    def base(self) -> Fraction:
        """Seconds per unit of the frames' times."""
        return self._ticks[self._stream.index].base

    def begin_at(self, begin: Fraction) -> None:
        """Count times from this one on, of the recording's own; what is before it is negative.

        Reading begins at a key frame before it, where the container can find one. In a broadcast,
        whose clock may jump, FFmpeg would look for it in the wrong place: there packets long before
        it are passed over.
        """
        self.offset = begin
        for ticks in self._ticks.values():
            ticks.refine(begin)
        if begin <= self.start:
            return
        if self._container.format.name in _BROADCAST:
            self._idle_until = begin - _RUN_UP
            return
        try:
            self._guard.run(partial(self._container.seek, int(begin / MICROSECOND)))
        except (av.FFmpegError, OSError) as error:  # a seek of the file itself raises the latter
            _log.debug("cannot seek (%s): reading from the beginning", error)

    def items(self) -> Iterator[Decoded | AudioPacket]:
        """Give frames and packets of sound, to the end.

        Raises:
            InputError: a frame is larger than any recording's.
        """
        for packet in self._raw:
            if packet.stream is self._stream:
                if not self._is_idle(packet):
                    yield from self._decoded(packet.decode)
            else:
                yield from self._heard(packet)
        # The end of a file that breaks off does not reach the decoder, which holds frames back.
        yield from self._decoded(self._stream.codec_context.decode)
        yield from self._timed(self._mender.end())
        yield from self._last_heard()
        self._say_what_was_wrong()

    def sound(self) -> Iterator[AudioPacket]:
        """Give what is left of the sound."""
        for packet in self._raw:
            if packet.stream is not self._stream:
                yield from self._heard(packet)
        yield from self._last_heard()

    def _demux(self) -> Iterator[Any]:
        """Give the packets as far as they can be read, on one clock."""
        streams, waited = [self._stream, *self._audio], 0.0
        packets = self._container.demux(streams)
        while True:
            try:
                packet = self._guard.run(partial(next, packets, None))
            except av.error.BlockingIOError as error:  # a camera that has nothing new yet
                if waited >= _PATIENCE:
                    self._say_where_it_broke(error)
                    return
                time.sleep(_BLINK)
                waited += _BLINK
                packets = self._container.demux(streams)
                continue
            except StalledError as error:
                if not self._guard.relaxed:
                    raise
                if self._guard.interrupted:
                    return
                self._say_where_it_broke(error)
                return
            except (av.FFmpegError, OSError) as error:
                self._say_where_it_broke(error)
                return
            except IndexError:  # PyAV at the end of a file in which further streams have appeared
                return
            if packet is None:
                return
            waited = 0.0
            self._place(packet)
            yield packet

    def _say_where_it_broke(self, error: Exception) -> None:
        _log.info(
            "%s cannot be read beyond %.1f s (%s): what is before that is taken",
            self._name, float(self._reached), reason(error),
        )  # fmt: skip

    def _place(self, packet: Any) -> None:
        """Move a packet to where it is in the time of the whole recording."""
        when = packet.pts if packet.dts is None else packet.dts
        if when is None:
            return
        base, duration = packet.time_base, packet.duration or 0
        if self._seams is not None:
            shift = self._seams.shift(
                packet.stream.index, float(when * base), float(duration * base)
            )
            if shift:
                ticks = round(shift * MICROSECOND / base)
                packet.pts = None if packet.pts is None else within(packet.pts + ticks)
                packet.dts = None if packet.dts is None else within(packet.dts + ticks)
                when += ticks
        self._reached = max(self._reached, (when + duration) * base - self.start)

    def _is_idle(self, packet: Any) -> bool:
        """Whether a packet lies so far before the beginning that it need not be decoded."""
        when = packet.pts if packet.dts is None else packet.dts
        if self._idle_until is None or when is None or when * packet.time_base >= self._idle_until:
            self._idle_until = None
            return False
        return True

    def _decoded(self, decode: Callable[[], Iterable[Any]]) -> Iterator[Decoded]:
        try:
            frames = self._guard.run(lambda: list(decode()))
        except av.error.EOFError:  # it has given all
            return
        except (av.FFmpegError, StalledError) as error:
            self._damaged += 1
            _log.debug("a packet of %s cannot be decoded: %s", self._name, error)
            return
        for frame in frames:
            check_size(self._name, frame.width, frame.height)
            item = (frame, frame.duration or 0)
            yield from self._timed(self._mender.put(self._time(frame), item))

    def _time(self, frame: av.VideoFrame) -> int | None:
        if not self._counted:
            return None if frame.pts is None else int(frame.pts)
        if frame.dts is None:  # the last ones come when no packet is left to number them by
            self._number = None if self._number is None else self._number + 1
            return self._number
        if self._delay is None:
            self._delay = frame.dts - (frame.dts if frame.pts is None else frame.pts)
        self._number = frame.dts - self._delay
        return self._number

    def _timed(self, settled: list[tuple[int, tuple[av.VideoFrame, int]]]) -> Iterator[Decoded]:
        ticks = self._ticks[self._stream.index]
        for pts, (frame, duration) in settled:
            yield Decoded(ticks.since(pts, self.offset), frame, duration * ticks.factor)

    def _heard(self, packet: Any) -> Iterator[AudioPacket]:
        """Give what sounds by now, moved as the pictures are."""
        if packet.size:
            track = self._audio.index(packet.stream)
            when = packet.pts if packet.dts is None else packet.dts
            yield from self._moved(track, self._sound_menders[track].put(when, packet))

    def _last_heard(self) -> Iterator[AudioPacket]:
        for track, mender in enumerate(self._sound_menders):
            yield from self._moved(track, mender.end())

    def _moved(self, track: int, settled: list[tuple[int, Any]]) -> Iterator[AudioPacket]:
        for when, packet in settled:
            known = packet.pts is not None and packet.dts is not None
            lag = packet.pts - packet.dts if known else 0
            lag = 0 if abs(lag * packet.time_base) > _MOST_LAG else lag
            ticks = self._ticks[packet.stream.index]
            packet.dts = within(ticks.since(when, self.offset))
            packet.pts = within(packet.dts + lag * ticks.factor)
            packet.duration = within(packet.duration * ticks.factor)
            packet.time_base = ticks.base
            yield AudioPacket(track, packet)

    def _say_what_was_wrong(self) -> None:
        """Say, at the end, what of the recording was not as it should be."""
        if self._damaged:
            _log.info("%s passed over", _count(self._damaged, "damaged packet"))
        mended, dropped = self._mender.mended, self._mender.dropped
        if mended:
            many = _count(mended, "missing, double or backward timestamp")
            _log.info("%s: frames put between their neighbours", many)
        moved = sum(mender.mended + mender.dropped for mender in self._sound_menders)
        if moved:
            _log.info("%s of sound mended", _count(moved, "timestamp"))
        if dropped:
            _log.info("%s left out for which there is no time", _count(dropped, "frame"))
        if self._seams is not None and self._seams.found:
            _log.info("%s of the clock joined", _count(self._seams.found, "jump"))
            return  # what the container said of its length means nothing then
        promised = (self._container.duration or 0) * MICROSECOND
        if promised - self._reached > max(1, _SHORT * promised):
            _log.info(
                "%s says it is %.1f s long, and ends after %.1f s: what there is is taken",
                self._name, float(promised), float(self._reached),
            )  # fmt: skip


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def seconds(packet: AudioPacket) -> Fraction:
    """Give the time of a packet of sound."""
    return Fraction(packet.packet.pts * packet.packet.time_base)


def nothing_decoded(name: str, where: str = "") -> InputError:
    """Make the error for a video of which no frame can be decoded."""
    return InputError(f"no frame of {name} can be decoded{where}: is it whole?")
