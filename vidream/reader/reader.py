"""Frames and packets of sound of a video, or of the part of it that is wanted."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from types import TracebackType
from typing import Any

import av
import av.container
import av.filter

from vidream.frames import Frame
from vidream.media import AudioPacket, Place, VideoInfo, fit
from vidream.reader.container import (
    choose_sound,
    choose_video,
    name_of,
    open_container,
    say_what_is_left_out,
)
from vidream.reader.conversion import Converter, shape_of, upright_size
from vidream.reader.geometry import pixel_aspect, square
from vidream.reader.guard import Guard, limited_sound
from vidream.reader.interlacing import deinterlaced
from vidream.reader.packets import MICROSECOND, Decoded, Packets, nothing_decoded, seconds
from vidream.settings import ReadSettings

_log = logging.getLogger(__name__)

_LONGEST = 120  # seconds that a picture is repeated for the sake of a rate, at most
_KEPT = frozenset(
    (
        *("title", "artist", "album", "album_artist", "composer"),
        *("date", "genre", "comment", "description", "copyright"),
    )
)


def open_reader(source: Place, settings: ReadSettings | None = None) -> Reader:
    """Open a video for reading.

    Raises:
        InputError: there is no video to read there.
    """
    return Reader(source, settings or ReadSettings())


class Reader:
    """Frames and packets of sound of a video, in the order in which they lie in the file.

    A context manager and an iterable, to be run through once. Timestamps are the source's own,
    unless its clock begins anywhere, as a broadcast's or a camera's: that begins at 0. With
    ``settings.start`` picture and sound are moved together so that the cut begins at 0.

    Raises:
        InputError: there is no video to read there, or nothing of it can be decoded.
    """

    def __init__(self, source: Place, settings: ReadSettings) -> None:
        self._settings = settings
        self._source, self._name = source, name_of(source)
        self.skip = 0
        """Frames that are passed over before the first one that is given."""
        self._container, self._guard = open_container(source, self._name)
        try:
            self._stream = choose_video(self._container, self._name)
            self._audio = choose_sound(self._container)
            say_what_is_left_out(self._container, [self._stream, *self._audio])
            self._packets = self._pull(self._container, self._guard)
            items = limited_sound(self._cut(), self._name)
            self._items, first = _to_first(deinterlaced(items, self._stream))
            if first is None:
                where = " in that range" if settings.start else ""
                raise nothing_decoded(self._name, where)
            self._guard.relax()
            self.info = self._describe(first.frame)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def interrupt(self) -> None:
        """Let another thread, which waits for what a pipe or a camera may bring, wait no longer."""
        self._guard.interrupt()

    def close(self) -> None:
        """Close the file."""
        self._guard.close(self._container.close)

    def _pull(self, container: av.container.InputContainer, guard: Guard) -> Packets:
        """Pull packets of the streams that were chosen, from where the cut begins."""
        streams: list[Any] = [container.streams[s.index] for s in (self._stream, *self._audio)]
        packets = Packets(container, self._name, streams[0], streams[1:], guard)
        if self._settings.start is not None:
            packets.begin_at(packets.start + _exact(self._settings.start))
        return packets

    def _describe(self, first: av.VideoFrame) -> VideoInfo:
        """Find out what the writer must know; the first frame alone knows all of it."""
        aspect = self._stream.sample_aspect_ratio
        seen = shape_of(first, aspect)
        size = fit(*square(*upright_size(first), seen), self._settings)
        self._convert = Converter(size, aspect, first, keep_hdr=self._settings.keep_hdr)
        rate = self._settings.fps and Fraction(self._settings.fps).limit_denominator(1001)
        time_base = 1 / rate if rate else self._packets.base
        rate = rate or self._stream.average_rate or self._stream.guessed_rate
        return VideoInfo(
            width=size[0],
            height=size[1],
            rate=rate,
            time_base=time_base,
            frames=self._expect(rate),
            colour=self._convert.colour,
            deep=self._convert.deep,
            peak=self._convert.peak,
            # Following sides are rounded to even numbers: that is no change of shape.
            sample_aspect_ratio=pixel_aspect(size, seen),
            metadata={k: v for k, v in self._container.metadata.items() if k in _KEPT},
            audio=tuple(self._audio),
        )

    def _expect(self, rate: Fraction | None) -> int | None:
        settings, frames = self._settings, self._stream.frames or None
        length = self._container.duration and self._container.duration * MICROSECOND
        cut = settings.start is not None or settings.stop is not None or settings.fps is not None
        if rate and length and (cut or frames is None):
            stop = length if settings.stop is None else min(length, _exact(settings.stop))
            frames = max(1, round((stop - _exact(settings.start or 0)) * rate))
        elif cut:
            frames = None
        return min(frames, settings.frames) if frames and settings.frames else frames

    def __iter__(self) -> Iterator[Frame | AudioPacket]:
        """Give frames, and packets of sound between them."""
        base, index, last = self.info.time_base, 0, None
        for item in self._with_rate(self._items):
            if isinstance(item, AudioPacket):
                yield item
                continue
            pts, frame = item.pts, item.frame
            if last is not None and pts <= last:
                continue
            last, duration = pts, self._duration(item)
            if index >= self.skip:
                yield Frame(self._convert(frame), index, pts, base, duration)
            index += 1
            if self._settings.frames and index >= self._settings.frames:
                yield from self._rest_of_sound((pts + duration) * base)
                return

    def _duration(self, item: Decoded) -> int:
        if item.duration and not self._settings.fps:
            return item.duration
        rate = self.info.rate
        return round(1 / (rate * self.info.time_base)) if rate else 0

    def _cut(self) -> Iterator[Decoded | AudioPacket]:
        """Give what lies between start and end."""
        begins, end = self._settings.start is not None, self._end()
        base = self._packets.base
        for item in self._packets.items():
            time = seconds(item) if isinstance(item, AudioPacket) else item.pts * base
            if begins and time < 0:
                continue
            if end is None or time < end:
                yield item
            elif isinstance(item, Decoded):
                yield from self._rest_of_sound(end)
                return

    def _end(self) -> Fraction | None:
        """Give the time, on the clock of what is given out, at which the cut ends."""
        if self._settings.stop is None:
            return None
        return self._packets.start + _exact(self._settings.stop) - self._packets.offset

    def sound(self, end: Fraction | None = None) -> Iterator[AudioPacket]:
        """Give the sound alone, from its beginning; the file is opened once more for it.

        Args:
            end: when it ends, on the clock of the frames, if that is before the end of the cut.
        """
        if not self._audio:
            return
        ends = [time for time in (end, self._end()) if time is not None]
        container, guard = open_container(self._source, self._name)
        guard.relax()
        with guard.closing(container):
            packets = self._pull(container, guard)
            for packet in _until(packets.sound(), len(self._audio), min(ends, default=None)):
                if self._settings.start is None or seconds(packet) >= 0:
                    yield packet

    def _rest_of_sound(self, end: Fraction) -> Iterator[AudioPacket]:
        """Give the sound that belongs to frames already given but lies after them in the file."""
        return _until(self._packets.sound(), len(self._audio), end)

    def _with_rate(self, items: Iterable[Decoded | AudioPacket]) -> Iterator[Decoded | AudioPacket]:
        """Give what is decoded, at the rate that was asked for."""
        if not self._settings.fps:
            yield from items
            return
        graph, last, given = None, None, False
        for item in items:
            if isinstance(item, AudioPacket):
                yield item
                continue
            shown: list[Decoded] = []
            far = self._is_far(0 if last is None else last.pts, item.pts)
            if graph is not None and far:
                shown, graph = list(_pull(graph, end=True)), None
            item.frame.pts = item.pts
            # The filter shows the last picture for as long as it says.
            longest = int(_LONGEST / self._packets.base)
            item.frame.duration = min(item.frame.duration or 0, longest)
            graph = graph or self._rate_filter(item.frame, "" if far else "start_time=0")
            graph.vpush(item.frame)
            for frame in chain(shown, _pull(graph)):
                given = True
                yield frame
            last = item
        if graph is not None and last is not None:
            for frame in _pull(graph, end=True):
                given = True
                yield frame
            if not given:  # what is shorter than half a frame is one all the same
                yield Decoded(0, last.frame)

    def _is_far(self, before: int, after: int) -> bool:
        """Whether a picture would show so long that it is not repeated all the while.

        Its time may be a lie: it would be repeated for years.
        """
        gap = float((after - before) * self._packets.base)
        if gap <= _LONGEST:
            return False
        _log.info("a picture shows for %.0f s: it is not repeated so long", gap)
        return True

    def _rate_filter(self, frame: av.VideoFrame, begin: str) -> av.filter.Graph:
        graph = av.filter.Graph()
        source = graph.add(
            "buffer",
            f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:"
            f"time_base={self._packets.base}:pixel_aspect=1/1",
        )
        rate = graph.add("fps", f"fps={self.info.rate}:{begin}")
        graph.link_nodes(source, rate, graph.add("buffersink")).configure()
        return graph


def _exact(seconds: float) -> Fraction:
    """Give the time that was meant: 0.4 is 2/5, and not the float a hair above it."""
    return Fraction(seconds).limit_denominator(1_000_000)


def _until(
    packets: Iterator[AudioPacket], tracks: int, end: Fraction | None
) -> Iterator[AudioPacket]:
    """Give packets before a time, until each of the tracks has come to it."""
    open_tracks = set(range(tracks))
    for packet in packets if open_tracks else ():
        if end is None or seconds(packet) < end:
            yield packet
        else:
            open_tracks.discard(packet.track)
        if not open_tracks:
            return


def _to_first(
    items: Iterator[Decoded | AudioPacket],
) -> tuple[Iterator[Decoded | AudioPacket], Decoded | None]:
    """Find the first frame; give all items, those before it too."""
    head: list[Decoded | AudioPacket] = []
    for item in items:
        head.append(item)
        if isinstance(item, Decoded):
            return chain(head, items), item
    return iter(head), None


def _pull(graph: av.filter.Graph, *, end: bool = False) -> Iterator[Decoded]:
    """Give what a filter gives by now; with ``end``, all that it still holds."""
    if end:
        graph.vpush(None)
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield Decoded(frame.pts or 0, frame)
