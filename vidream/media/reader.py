"""Frames of a video, or of a part of it, and its audio."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from typing import Any

import av

from vidream.core.closeable import Closeable
from vidream.core.errors import InputError
from vidream.core.frames import Frame
from vidream.core.settings import ReadSettings
from vidream.media.audio_source import (
    AudioPacket,
    AudioSource,
    LiveAudio,
    Packets,
    SequentialAudio,
    before,
)
from vidream.media.container import (
    OpenInput,
    choose_audio,
    choose_video,
    log_unused_tracks,
    open_container,
    tags_of,
)
from vidream.media.conversion import Converter, shape_of, upright_size
from vidream.media.decoder import Decoded, Decoder
from vidream.media.demuxer import MICROSECOND
from vidream.media.frame_rate import resample_rate
from vidream.media.geometry import pixel_aspect, square_size
from vidream.media.info import VideoInfo, fit
from vidream.media.interlacing import deinterlace
from vidream.media.places import Place, Source

# fmt: off
_KEPT = frozenset((
    "title", "artist", "album", "album_artist", "composer",
    "date", "genre", "comment", "description", "copyright", "creation_time", "location",
))
# fmt: on


def open_reader(source: Source | Place, settings: ReadSettings | None = None) -> "Reader":
    """Open a video for reading."""
    return Reader(open_container(source), settings or ReadSettings())


class Reader(Closeable):
    """Frames of a video, in display order, and its audio. A context manager; iterable once.

    Timestamps are the source's own; those of broadcasts and cameras begin at 0, as do all with
    ``settings.start``, by which video and audio are shifted together.

    Raises:
        InputError: there is no video, or nothing of it can be decoded.
    """

    def __init__(self, file: OpenInput, settings: ReadSettings) -> None:
        self._file, self._settings = file, settings
        self._audio: LiveAudio | SequentialAudio | None = None
        self.skip = 0  # frames before the first one that is yielded
        try:
            self._video = choose_video(file)
            self._tracks = choose_audio(file)
            log_unused_tracks(file, [self._video, *self._tracks])
            self._decoder = self._decode(file)
            items = deinterlace(self._cut(), self._video)
            head, first = _to_first(items, file)
            if first is None:
                where = " in that range" if settings.start else ""
                raise InputError(
                    f"no frame of {file.source.name} can be decoded{where}: is it whole?"
                )
            file.worker.extend_timeout()
            self.info = self._describe(first.frame)
            self._items = chain(head, items)
        except BaseException:
            self.close()
            raise

    def interrupt(self) -> None:
        """Stop another thread from waiting for a pipe or a camera."""
        self._file.worker.interrupt()

    def close(self) -> None:
        """Close the file."""
        if isinstance(self._audio, SequentialAudio):
            self._audio.close()
        self._file.close()

    @property
    def audio(self) -> AudioSource:
        """The audio of the frames. A live source's is queued from the first access on."""
        if self._audio is None:
            ends = self._settings.frames is not None
            if self._file.source.is_live:
                most = self._file.worker.limits.audio_between_frames
                self._audio = LiveAudio(self._tracks, ends_with_video=ends, most=most)
            else:
                packets = self._read_audio()
                self._audio = SequentialAudio(self._tracks, packets, ends_with_video=ends)
        return self._audio

    def _decode(self, file: OpenInput) -> Decoder:
        streams: list[Any] = [file.container.streams[s.index] for s in (self._video, *self._tracks)]
        decoder = Decoder(file, streams[0], streams[1:])
        if self._settings.start is not None:
            decoder.begin_at(decoder.start + _exact(self._settings.start))
        return decoder

    def _describe(self, first: av.VideoFrame) -> VideoInfo:
        settings, aspect = self._settings, self._video.sample_aspect_ratio
        seen = shape_of(first, aspect)
        size = fit(*square_size(*upright_size(first), seen), settings)
        self._convert = Converter(size, aspect, first, keep_hdr=settings.keep_hdr)
        rate = settings.fps and Fraction(settings.fps).limit_denominator(1001)
        time_base = 1 / rate if rate else self._decoder.base
        rate = rate or self._video.average_rate or self._video.guessed_rate
        tags = tags_of(self._file.container)
        return VideoInfo(
            width=size[0],
            height=size[1],
            rate=rate,
            time_base=time_base,
            frames=self._expect(rate),
            colour=self._convert.colour,
            is_hdr=self._convert.is_hdr,
            peak=self._convert.peak,
            # Rounding a side to an even number does not count.
            sample_aspect_ratio=pixel_aspect(size, seen),
            metadata={key: value for key, value in tags.items() if key in _KEPT},
        )

    def _expect(self, rate: Fraction | None) -> int | None:
        settings, frames = self._settings, self._video.frames or None
        length = (self._file.container.duration or 0) * MICROSECOND
        cut = settings.start is not None or settings.stop is not None or settings.fps is not None
        if rate and length and (cut or frames is None):
            stop = length if settings.stop is None else min(length, _exact(settings.stop))
            frames = max(1, round((stop - _exact(settings.start or 0)) * rate))
        elif cut:
            frames = None
        return min(frames, settings.frames) if frames and settings.frames else frames

    def __iter__(self) -> Iterator[Frame]:
        base, index, last = self.info.time_base, 0, None
        items: Iterator[Decoded | AudioPacket] = self._items
        if self._settings.fps:
            items = resample_rate(items, self._decoder.base, 1 / base)
        for item in items:
            if isinstance(item, AudioPacket):
                self._queue(item, None if last is None else last * base)
                continue
            if last is not None and item.pts <= last:
                continue
            last, duration = item.pts, self._duration(item)
            if index >= self.skip:
                yield Frame(self._convert(item.frame), index, last, base, duration)
            index += 1
            if self._settings.frames and index >= self._settings.frames:
                for packet in self._rest_of_audio((last + duration) * base):
                    self._queue(packet, last * base)
                return

    def _queue(self, packet: AudioPacket, after: Fraction | None) -> None:
        if isinstance(self._audio, LiveAudio):
            self._audio.put(packet, after)

    def _duration(self, item: Decoded) -> int:
        if item.duration and not self._settings.fps:
            return item.duration
        rate = self.info.rate
        return round(1 / (rate * self.info.time_base)) if rate else 0

    def _cut(self) -> Iterator[Decoded | AudioPacket]:
        begins, end = self._settings.start is not None, self._end(self._decoder)
        base = self._decoder.base
        for item in self._decoder.items():
            time = item.time if isinstance(item, AudioPacket) else item.pts * base
            if begins and time < 0:
                continue
            if end is None or time < end:
                yield item
            elif isinstance(item, Decoded):
                yield from self._rest_of_audio(end)
                return

    def _end(self, decoder: Decoder) -> Fraction | None:
        """Return the time at which the cut ends, on the clock of the frames."""
        if self._settings.stop is None:
            return None
        return decoder.start + _exact(self._settings.stop) - decoder.offset

    def _rest_of_audio(self, end: Fraction) -> Iterator[AudioPacket]:
        """Yield audio of frames already yielded that follows them in the stream."""
        if isinstance(self._audio, LiveAudio):
            yield from before(self._decoder.audio(), len(self._tracks), end)

    def _read_audio(self) -> Packets:
        """Open the file once more, and yield its audio."""
        if not self._tracks:
            return
        with open_container(self._file.source) as file:
            file.worker.extend_timeout()
            decoder = self._decode(file)
            for packet in before(decoder.audio(), len(self._tracks), self._end(decoder)):
                if self._settings.start is None or packet.time >= 0:
                    yield packet


def _exact(seconds: float) -> Fraction:
    """Return the time that was meant: 0.4 is 2/5."""
    return Fraction(seconds).limit_denominator(1_000_000)


def _to_first(
    items: Iterator[Decoded | AudioPacket], file: OpenInput
) -> tuple[list[Decoded | AudioPacket], Decoded | None]:
    """Return the items up to the first frame, without audio unless live, and that frame."""
    head: list[Decoded | AudioPacket] = []
    skipped, most = 0, file.worker.limits.audio_before_video
    for item in items:
        if isinstance(item, Decoded):
            return [*head, item], item
        skipped += item.packet.size
        if skipped > most:
            raise InputError(
                f"{file.source.name} holds no picture in its first {most >> 20} MiB of sound: give "
                "a video"
            )
        if file.source.is_live:
            head.append(item)
    return [], None
