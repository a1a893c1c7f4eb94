"""Another sound for a clip: packets of a file, cut as the clip is, between its frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from vidream.errors import InputError, naming
from vidream.frames import Frame
from vidream.media import AudioPacket, VideoInfo
from vidream.reader import choose_sound, open_container

_MICROSECOND = Fraction(1, 1_000_000)


class Soundtrack:
    """The first sound track of a file. A context manager.

    Args:
        path: of a file with sound.
        start: where in it the first frame is, in seconds; None for its beginning.

    Raises:
        InputError: there is no sound to read there, or, once it is read, no more comes though it
            has not ended; the message begins with "audio".
    """

    def __init__(self, path: str, start: float | None = None) -> None:
        with naming("audio"):
            self._container, self._guard = open_container(path, path)
        tracks = choose_sound(self._container)
        if not tracks:
            self._guard.close(self._container.close)
            raise InputError(f"audio: {path} has no sound: give a file that has some")
        self._track = tracks[0]
        origin = (self._container.start_time or 0) * _MICROSECOND
        self._begin = origin + Fraction(start or 0).limit_denominator(1_000_000)
        self._cut = start is not None  # without, an encoder's run-up before the beginning stays
        # Of all streams, as the guard wants it.
        self._packets: Iterator[Any] = self._guard.pulled(self._container.demux())
        self._waiting: AudioPacket | None = None

    def __enter__(self) -> Soundtrack:
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.close(self._container.close)

    def on(self, info: VideoInfo) -> VideoInfo:
        """Give what a writer must know of a clip that has this sound in place of its own."""
        return replace(info, audio=(self._track,))

    def among(self, items: Iterable[Frame | AudioPacket]) -> Iterator[Frame | AudioPacket]:
        """Put the sound between frames, in place of any other."""
        first: Fraction | None = None
        end = Fraction(0)
        for item in items:
            if isinstance(item, AudioPacket):
                continue
            first = item.time if first is None else first
            yield from self.until(item.time, first)
            yield item
            end = item.time + item.duration * item.time_base
        if first is not None:
            yield from self.until(end, first)

    def until(self, time: Fraction | None, first: Fraction) -> Iterator[AudioPacket]:
        """Give the packets that begin before a time, and have not been given yet.

        Args:
            time: in seconds, on the clock of the frames; None for all that there are.
            first: when the clip's first frame shows.
        """
        while True:
            if self._waiting is None:
                self._waiting = self._next(first)
            if self._waiting is None:
                return
            packet = self._waiting.packet
            if time is not None and packet.pts * packet.time_base >= time:
                return
            yield self._waiting
            self._waiting = None

    def _next(self, first: Fraction) -> AudioPacket | None:
        with naming("audio"):
            for packet in self._packets:
                if packet.stream is not self._track or packet.dts is None or packet.pts is None:
                    continue
                if self._cut and packet.pts * packet.time_base < self._begin:
                    continue
                earlier = round((self._begin - first) / packet.time_base)
                packet.pts -= earlier
                packet.dts -= earlier
                return AudioPacket(0, packet)
        return None
