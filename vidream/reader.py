"""Reading video: frames and packets of sound, one demuxer, nothing kept. Imports PyAV."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import av
import av.container
import av.filter
import av.video

from vidream.errors import InputError
from vidream.frames import Frame, Picture
from vidream.media import MAX_PIXELS, MAX_SIDE, AudioPacket, Colour, Place, VideoInfo, fit, is_pipe
from vidream.settings import ReadSettings

_log = logging.getLogger(__name__)

# Real containers only. Playlists and scripts (hls, dash, concat, image2, sdp …) would let a file
# name other files, or addresses, for us to open.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,flv,live_flv,asf,ogg,gif,"
    "apng,yuv4mpegpipe,nut,ivf,h264,hevc,obu,av1,mjpeg,mxf,dv,wtv,rm,amr,wav,mp3,aac,flac"
)
_PROTOCOLS = "file,pipe,fd"

_SCALER = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
_MICROSECOND = Fraction(1, 1_000_000)


def open_reader(source: Place, settings: ReadSettings | None = None) -> Reader:
    """Open a video for reading.

    Raises:
        InputError: there is no video to read there.
    """
    return Reader(source, settings or ReadSettings())


class Reader:
    """Frames and packets of sound of a video, in the order in which they lie in the file.

    A context manager and an iterable, to be run through once. Timestamps are the source's own;
    with ``settings.start`` picture and sound are moved together so that the cut begins at 0.

    Raises:
        InputError: there is no video to read there, or nothing of it can be decoded.
    """

    def __init__(self, source: Place, settings: ReadSettings) -> None:
        self._settings = settings
        self._name = "standard input" if is_pipe(source) else os.fspath(source)  # type: ignore[arg-type]
        self._container = open_container(source, self._name)
        try:
            self._stream = self._choose()
            self._audio = [s for s in self._container.streams.audio if s.codec_context]
            self._origin = (self._container.start_time or 0) * _MICROSECOND
            self.info = self._describe()
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

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _choose(self) -> av.VideoStream:
        """Pick the video, and say what else is left behind."""
        pictures = av.stream.Disposition.attached_pic
        videos = [s for s in self._container.streams.video if not s.disposition & pictures]
        if not videos:
            raise InputError(f"{self._name} holds no video, only sound or nothing: give a video")
        stream = videos[0]
        stream.thread_type = "AUTO"
        self._check_size(stream.width, stream.height)
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        for kind in ("subtitle", "data"):
            count = sum(s.type == kind for s in self._container.streams)
            if count:
                _log.info("%d %s track%s left out", count, kind, "s" if count > 1 else "")
        return stream

    def _check_size(self, width: int, height: int) -> None:
        if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
            raise InputError(
                f"{self._name} says its frames are {width}×{height}; the most that is read is "
                f"{MAX_PIXELS // 2**20} megapixels and {MAX_SIDE} a side: scale it down first"
            )

    def _describe(self) -> VideoInfo:
        """Find out what the writer must know; decodes the first frame, which alone knows all."""
        self._decoded = self._decode()
        self._first = next(self._decoded, None)
        if self._first is None:
            where = " in that range" if self._settings.start else ""
            raise InputError(f"no frame of {self._name} can be decoded{where}")
        first = self._first[1]
        upright = first.rotation % 180 == 0
        width, height = (first.width, first.height)[:: 1 if upright else -1]
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        aspect = aspect if upright else 1 / aspect
        self._size = fit(width, height, self._settings)
        rate = self._settings.fps and Fraction(self._settings.fps).limit_denominator(1001)
        time_base = 1 / rate if rate else self._stream.time_base
        rate = rate or self._stream.average_rate or self._stream.guessed_rate
        stretch = Fraction(self._size[1] * width, height * self._size[0])
        return VideoInfo(
            width=self._size[0],
            height=self._size[1],
            rate=rate,
            time_base=time_base or Fraction(1, 1000),
            frames=self._expect(rate),
            colour=_colour(first),
            # Following sides are rounded to even numbers: that is no change of shape.
            sample_aspect_ratio=aspect if abs(stretch - 1) < 0.02 else aspect * stretch,
            metadata={k: v for k, v in self._container.metadata.items() if k in _KEPT},
            audio=tuple(self._audio),
        )

    def _expect(self, rate: Fraction | None) -> int | None:
        settings, frames = self._settings, self._stream.frames or None
        length = self._container.duration and self._container.duration * _MICROSECOND
        cut = settings.start is not None or settings.stop is not None or settings.fps is not None
        if rate and length and (cut or frames is None):
            stop = length if settings.stop is None else min(length, _exact(settings.stop))
            frames = max(1, round((stop - _exact(settings.start or 0)) * rate))
        elif cut:
            frames = None
        return min(frames, settings.frames) if frames and settings.frames else frames

    def __iter__(self) -> Iterator[Frame | AudioPacket]:
        """Give frames, and packets of sound between them."""
        shrink = _Upright(self._size)
        last = None
        index = 0
        end = self._end()
        for item in self._with_rate():
            if isinstance(item, AudioPacket):
                if end is None or _seconds(item.packet) < end:
                    yield item
                continue
            pts, frame = item
            if last is not None and pts <= last:
                _log.debug("timestamp %d is not after %d: moved", pts, last)
                pts = last + 1
            last = pts
            image = shrink(frame)
            base = self.info.time_base
            yield Frame(image, index, pts, base, self._duration(frame))
            index += 1
            if self._settings.frames and index >= self._settings.frames:
                end = (pts + self._duration(frame)) * base
                yield from self._rest_of_sound(end)
                return

    def _duration(self, frame: av.VideoFrame) -> int:
        if frame.duration and not self._settings.fps:
            return frame.duration
        rate = self.info.rate
        return round(1 / (rate * self.info.time_base)) if rate else 0

    def _rest_of_sound(self, end: Fraction) -> Iterator[AudioPacket]:
        """Give the sound that belongs to frames already given but lies after them in the file."""
        open_tracks = set(range(len(self._audio)))
        for packet in self._container.demux(self._audio) if self._audio else ():
            if (sound := self._sound(packet)) is None:
                continue
            if _seconds(sound.packet) < end:
                yield sound
            else:
                open_tracks.discard(sound.track)
            if not open_tracks:
                return

    def _with_rate(self) -> Iterator[AudioPacket | tuple[int, av.VideoFrame]]:
        """Give what is decoded, at the rate that was asked for."""
        items = self._all_decoded()
        if not self._settings.fps:
            yield from items
            return
        graph = None
        for item in items:
            if isinstance(item, AudioPacket):
                yield item
                continue
            pts, frame = item
            frame.pts = pts
            if graph is None:
                graph = av.filter.Graph()
                source = graph.add_buffer(template=self._stream)
                rate = graph.add("fps", f"fps={self.info.rate}:start_time=0")
                graph.link_nodes(source, rate, graph.add("buffersink")).configure()
            graph.vpush(frame)
            yield from _pull(graph)
        if graph is not None:
            graph.vpush(None)
            yield from _pull(graph)

    def _all_decoded(self) -> Iterator[AudioPacket | tuple[int, av.VideoFrame]]:
        yield from self._early_sound
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        yield from self._mixed

    # The demuxer is one generator; frames and sound are told apart as they are used.

    def _decode(self) -> Iterator[tuple[int, av.VideoFrame]]:
        self._early_sound: list[AudioPacket] = []
        self._mixed = self._demux()
        for item in self._mixed:
            if isinstance(item, AudioPacket):
                self._early_sound.append(item)
            else:
                yield item

    def _demux(self) -> Iterator[AudioPacket | tuple[int, av.VideoFrame]]:
        """Give sound and upright-to-be frames inside the cut, with their new timestamps."""
        settings = self._settings
        self._seek()
        base = self._stream.time_base or Fraction(1, 1000)
        begin = self._begin()
        offset = round(begin / base) if settings.start is not None else 0
        stop = None if settings.stop is None else self._origin + _exact(settings.stop)
        following = None
        for packet in self._container.demux([self._stream, *self._audio]):
            if packet.stream is not self._stream:
                if (sound := self._sound(packet)) is not None:
                    yield sound
                continue
            for frame in self._frames_of(packet):
                pts = frame.pts if frame.pts is not None else following
                pts = 0 if pts is None else pts
                following = pts + (frame.duration or 1)
                if settings.start is not None and pts < offset:
                    continue
                if stop is not None and pts * base >= stop:
                    yield from self._rest_of_sound(self._end() or Fraction(0))
                    return
                self._check_size(frame.width, frame.height)
                yield pts - offset, frame

    def _begin(self) -> Fraction:
        return self._origin + _exact(self._settings.start or 0)

    def _end(self) -> Fraction | None:
        """Give the time, on the clock of what is given out, at which the cut ends."""
        if self._settings.stop is None:
            return None
        if self._settings.start is None:
            return self._origin + _exact(self._settings.stop)
        return _exact(self._settings.stop) - _exact(self._settings.start)

    def _seek(self) -> None:
        if self._settings.start:
            try:
                self._container.seek(int(self._begin() / _MICROSECOND))
            except av.FFmpegError as error:
                _log.debug("cannot seek (%s): reading from the beginning", error)

    def _frames_of(self, packet: Any) -> Iterator[av.VideoFrame]:
        try:
            yield from packet.decode()
        except av.FFmpegError as error:
            _log.debug("a packet of %s cannot be decoded: %s", self._name, error)

    def _sound(self, packet: Any) -> AudioPacket | None:
        """Give a packet of sound inside the cut, moved as the pictures are."""
        if packet.dts is None or packet.stream is self._stream:
            return None
        if self._settings.start is not None:
            offset = round(self._begin() / packet.time_base)
            if packet.pts is None or packet.pts < offset:
                return None
            packet.pts -= offset
            packet.dts -= offset
        return AudioPacket(self._audio.index(packet.stream), packet)


_KEPT = frozenset(
    (
        *("title", "artist", "album", "album_artist", "composer"),
        *("date", "genre", "comment", "description", "copyright"),
    )
)


def _exact(seconds: float) -> Fraction:
    """Give the time that was meant: 0.4 is 2/5, and not the float a hair above it."""
    return Fraction(seconds).limit_denominator(1_000_000)


def _seconds(packet: Any) -> Fraction:
    return Fraction((packet.dts if packet.pts is None else packet.pts) * packet.time_base)


def _pull(graph: av.filter.Graph) -> Iterator[tuple[int, av.VideoFrame]]:
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield frame.pts or 0, frame


class _Upright:
    """Turns decoded frames upright, scales them and makes RGB pictures of them."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._shape: tuple[Any, ...] | None = None
        self._graph: av.filter.Graph | None = None

    def __call__(self, frame: av.VideoFrame) -> Picture:
        """Give the uint8 ``[H, W, 3]`` picture."""
        rotation = frame.rotation
        shape = (frame.width, frame.height, frame.format.name, rotation)
        if self._graph is None or shape != self._shape:
            self._graph, self._shape = self._build(frame, rotation), shape
        frame.pts = 0
        self._graph.vpush(frame)
        return cast(Picture, self._graph.vpull().to_ndarray())

    def _build(self, frame: av.VideoFrame, rotation: int) -> av.filter.Graph:
        width, height = self._size
        matrix = _colour(frame).matrix_for(frame.width, frame.height)
        full = frame.color_range == 2 or frame.format.name.startswith("yuvj")
        graph = av.filter.Graph()
        nodes = [
            graph.add(
                "buffer",
                f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:"
                "time_base=1/1000:pixel_aspect=1/1",
            )
        ]
        # The display matrix counts counter-clockwise; FFmpeg's transpose names what it does.
        turns = {90: ["cclock"], -90: ["clock"], 180: ["clock", "clock"], -180: ["clock", "clock"]}
        nodes += [graph.add("transpose", turn) for turn in turns.get(rotation, [])]
        scale = f"{width}:{height}:flags={_SCALER}:out_range=pc"
        if not frame.format.is_rgb:
            scale += f":in_color_matrix={matrix}:in_range={'pc' if full else 'tv'}"
        nodes += [graph.add("scale", scale), graph.add("format", "rgb24"), graph.add("buffersink")]
        graph.link_nodes(*nodes).configure()
        return graph


def _colour(frame: av.VideoFrame) -> Colour:
    full = frame.format.name.startswith("yuvj")
    return Colour(
        range=2 if full else int(frame.color_range),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        matrix=int(frame.colorspace),
    )


def open_container(source: Place, name: str) -> av.container.InputContainer:
    """Open a container of a kind that cannot name other files.

    Raises:
        InputError: there is none.
    """
    options = {"protocol_whitelist": _PROTOCOLS, "format_whitelist": _FORMATS}
    file: Any
    if is_pipe(source):
        file = sys.stdin.buffer if isinstance(source, (str, os.PathLike)) else source
    else:
        _check_file(name)
        # The prefix keeps FFmpeg from reading "concat:a" or "http:b" as anything but a name.
        file = f"file:{name}"
    try:
        return cast(av.container.InputContainer, av.open(file, "r", container_options=options))
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{name} is not a video that can be read ({reason}): is it whole, and a video?"
        ) from error


def _check_file(name: str) -> None:
    path = Path(name)
    if "://" in name and not path.exists():
        raise InputError(f"{name} is an address: download it first, and give the file")
    if not path.exists():
        raise InputError(f"there is no file {name}: check the name")
    if path.is_dir():
        raise InputError(f"{name} is a folder: give one clip, or see `make dreams` for a folder")
    if not os.access(path, os.R_OK):
        raise InputError(f"{name} may not be read: change its permissions")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{name} is empty: record or copy it again")
