"""Frames of a video, or of a part of it, and its sound and subtitles."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain

import av

from vidream.core.closeable import Closeable
from vidream.core.errors import InputError
from vidream.core.frames import Frame
from vidream.core.settings import ReadSettings, exact_rate
from vidream.media.container import not_for_pipes
from vidream.media.container_decoder import ContainerDecoder
from vidream.media.conversion import Converter, shape_of, upright_size
from vidream.media.decoder import Decoded, Decoder
from vidream.media.frame_rate import resample_rate
from vidream.media.geometry import pixel_aspect, square_size
from vidream.media.info import Chapter, VideoInfo, fit
from vidream.media.kinds import is_webp
from vidream.media.picture_decoder import AnimationDecoder, PictureFilesDecoder
from vidream.media.places import AnimationFile, PictureFiles, Place, Source, VideoFile, parse_source
from vidream.media.timeouts import TimedWorker
from vidream.media.tracks import (
    LiveTracks,
    Packets,
    SequentialTracks,
    TrackPacket,
    TrackSource,
    before,
)

# fmt: off
_KEPT = frozenset((
    "title", "artist", "album", "album_artist", "composer",
    "date", "genre", "comment", "description", "copyright", "creation_time", "location",
))
# fmt: on


# Rates of files without timestamps, for recordings that come at any time.
_RATES = (30, 60)
_DENOMINATORS = (1, 2, 1001)  # of rates that are real
_NEARLY = Fraction(99, 100)


def open_reader(source: Source | Place, settings: ReadSettings | None = None) -> "Reader":
    """Open a video for reading."""
    settings = settings or ReadSettings()
    return Reader(_open_decoder(parse_source(source), settings), settings)


def _open_decoder(source: Source, settings: ReadSettings, *, again: bool = False) -> Decoder:
    if isinstance(source, PictureFiles):
        return PictureFilesDecoder(source, _wanted_rate(settings))
    if isinstance(source, AnimationFile) and is_webp(source.path):
        return AnimationDecoder(source)
    return ContainerDecoder(source, sound=settings.audio is None, again=again)


class Reader(Closeable):
    """Frames of a video, in display order, and its tracks. A context manager; iterable once.

    Timestamps are the source's own; those of broadcasts and cameras begin at 0, as do all with
    ``settings.start``, by which video, sound, subtitles and chapters are shifted together.

    Raises:
        InputError: there is no video, or nothing of it can be decoded.
    """

    def __init__(self, decoder: Decoder, settings: ReadSettings) -> None:
        self._decoder, self._settings = decoder, settings
        self._tracks: LiveTracks | SequentialTracks | None = None
        self.skip = 0  # frames before the first one that is yielded
        self._sought: Fraction | None = None  # time of that frame, if frames before are not read
        try:
            self._begin(decoder)
            items = self._cut()
            head, first = _to_first(items, decoder.source)
            if first is None:
                raise self._nothing()
            decoder.extend_timeout()
            self.info = self._describe(first.frame)
            self._items: Iterator[Decoded | TrackPacket] = chain(head, items)
        except BaseException:
            self.close()
            raise

    def _begin(self, decoder: Decoder) -> None:
        if self._settings.start is not None:
            decoder.begin_at(decoder.start + _exact(self._settings.start))

    def _nothing(self) -> InputError:
        if self._decoder.is_unseekable:
            return not_for_pipes(self._decoder.source)
        name, start, length = self._decoder.source.name, self._settings.start, self._decoder.length
        if start and 0 < length <= start:
            return InputError(
                f"{name} is {float(length):.1f} s long: set a `start` before its end, "
                f"not {start:g} s"
            )
        where = " in that range" if start else ""
        return InputError(f"no frame of {name} can be decoded{where}: is it whole?")

    def interrupt(self) -> None:
        """Stop another thread from waiting for a pipe or a camera."""
        self._decoder.interrupt()

    def close(self) -> None:
        """Close the file."""
        if isinstance(self._tracks, SequentialTracks):
            self._tracks.close()
        self._decoder.close()

    @property
    def tracks(self) -> TrackSource:
        """Sound and subtitles. A live source's are queued from the first access on."""
        if self._tracks is None:
            ends, templates = self._settings.frames is not None, self._decoder.tracks
            if self._decoder.source.is_live:
                most = TimedWorker.limits.audio_between_frames
                self._tracks = LiveTracks(templates, ends_with_video=ends, most=most)
            else:
                packets = self._read_tracks()
                self._tracks = SequentialTracks(templates, packets, ends_with_video=ends)
        return self._tracks

    def _describe(self, first: av.VideoFrame) -> VideoInfo:
        settings, facts = self._settings, self._decoder.facts
        seen = shape_of(first, facts.aspect)
        size = fit(*square_size(*upright_size(first), seen), settings)
        self._convert = Converter(
            size, facts.aspect, first, keep_hdr=settings.keep_hdr, keep_alpha=settings.keep_alpha
        )
        wanted = _wanted_rate(settings)
        # Numbered pictures come at the rate that is wanted.
        self._resampled = None if isinstance(self._decoder.source, PictureFiles) else wanted
        rate = wanted or facts.rate
        return VideoInfo(
            width=size[0],
            height=size[1],
            rate=rate,
            constant_rate=wanted or _constant_rate(rate, facts.tick),
            time_base=1 / wanted if wanted else self._decoder.base,
            frames=self._expect(rate),
            colour=self._convert.colour,
            is_hdr=self._convert.is_hdr,
            has_alpha=self._convert.has_alpha,
            peak=self._convert.peak,
            # Rounding a side to an even number does not count.
            sample_aspect_ratio=pixel_aspect(size, seen),
            metadata={key: value for key, value in facts.tags.items() if key in _KEPT},
            chapters=self._chapters(rate),
            cover=facts.cover,
        )

    def _chapters(self, rate: Fraction | None) -> tuple[Chapter, ...]:
        """Return the chapters of what is read, on the clock of the frames."""
        settings, decoder = self._settings, self._decoder
        first = Fraction(0) if settings.start is not None else decoder.start - decoder.offset
        ends = [end for end in (self._end(decoder),) if end is not None]
        if settings.frames and rate:
            ends.append(first + settings.frames / rate)
        found = []
        for chapter in decoder.facts.chapters:
            start, end = chapter.start - decoder.offset, chapter.end - decoder.offset
            if settings.start is not None:
                start = max(start, first)
            end = min([end, *ends])
            if start < end:
                found.append(Chapter(start, end, chapter.metadata))
        return tuple(found)

    def _expect(self, rate: Fraction | None) -> int | None:
        settings, frames = self._settings, self._decoder.facts.frames
        length = self._decoder.facts.length
        cut = settings.start is not None or settings.stop is not None or settings.fps is not None
        if rate and length and (cut or frames is None):
            stop = length if settings.stop is None else min(length, _exact(settings.stop))
            frames = max(1, round((stop - _exact(settings.start or 0)) * rate))
        elif cut:
            frames = None
        return min(frames, settings.frames) if frames and settings.frames else frames

    def seek(self, index: int, time: Fraction) -> None:
        """Yield the frames from one on, by its number and time, reading few of those before.

        Where timestamps are damaged another frame may come: it is for the caller to look.
        """
        self.skip = index
        seekable = isinstance(self._decoder.source, (VideoFile, PictureFiles))
        if index == 0 or not seekable or self._resampled:
            return
        facts, source = self._decoder.facts, self._decoder.source
        self._decoder.close()
        self._decoder = _open_decoder(source, self._settings, again=True)
        self._decoder.facts = facts
        self._decoder.extend_timeout()
        self._begin(self._decoder)
        self._decoder.seek(time)
        self._items, self._sought = self._cut(), time

    def __iter__(self) -> Iterator[Frame]:
        base, index, last = self.info.time_base, 0, None
        items: Iterator[Decoded | TrackPacket] = self._items
        if self._sought is not None:
            index, before = self.skip, self._sought / base
            items = (item for item in items if isinstance(item, TrackPacket) or item.pts >= before)
        if self._resampled:
            items = resample_rate(items, self._decoder.base, self._resampled)
        for item in items:
            if isinstance(item, TrackPacket):
                self._queue(item, None if last is None else last * base)
                continue
            if last is not None and item.pts <= last:
                continue
            last, duration = item.pts, self._duration(item)
            if index >= self.skip:
                image, alpha = self._convert(item.frame)
                yield Frame(image, index, last, base, duration, alpha)
            index += 1
            if self._settings.frames and index >= self._settings.frames:
                for packet in self._rest_of_tracks((last + duration) * base):
                    self._queue(packet, last * base)
                return

    def _queue(self, packet: TrackPacket, after: Fraction | None) -> None:
        if isinstance(self._tracks, LiveTracks):
            self._tracks.put(packet, after)

    def _duration(self, item: Decoded) -> int:
        if item.duration and not self._resampled:
            return item.duration
        rate = self.info.rate
        return round(1 / (rate * self.info.time_base)) if rate else 0

    def _cut(self) -> Iterator[Decoded | TrackPacket]:
        begins, end = self._settings.start is not None, self._end(self._decoder)
        base = self._decoder.base
        for item in self._decoder.items():
            time = item.time if isinstance(item, TrackPacket) else item.pts * base
            if begins and time < 0:
                continue
            if end is None or time < end:
                yield item
            elif isinstance(item, Decoded):
                yield from self._rest_of_tracks(end)
                return

    def _end(self, decoder: Decoder) -> Fraction | None:
        """Return the time at which the cut ends, on the clock of the frames."""
        if self._settings.stop is None:
            return None
        return decoder.start + _exact(self._settings.stop) - decoder.offset

    def _rest_of_tracks(self, end: Fraction) -> Iterator[TrackPacket]:
        """Yield packets of frames already yielded that follow them in the stream."""
        if isinstance(self._tracks, LiveTracks):
            yield from before(self._decoder.packets(), self._decoder.tracks, end)

    def _read_tracks(self) -> Packets:
        """Open the file once more, and yield the packets of its tracks."""
        if not self._decoder.tracks:
            return
        with _open_decoder(self._decoder.source, self._settings, again=True) as decoder:
            decoder.extend_timeout()
            self._begin(decoder)
            for packet in before(decoder.packets(), decoder.tracks, self._end(decoder)):
                if self._settings.start is None or packet.time >= 0:
                    yield packet


def _wanted_rate(settings: ReadSettings) -> Fraction | None:
    return None if settings.fps is None else exact_rate(settings.fps)


def _constant_rate(mean: Fraction | None, tick: Fraction | None) -> Fraction | None:
    """Return the rate at which a file without timestamps shows a clip.

    A tick that no camera has is a mean, and would lose frames that come faster.
    """
    if mean is None:
        return None
    least = mean * _NEARLY
    real = tick and tick.denominator in _DENOMINATORS and least <= tick
    if tick and real and (tick <= _RATES[-1] or tick == mean):
        return tick
    return next((Fraction(rate) for rate in _RATES if rate >= least), mean)


def _exact(seconds: float) -> Fraction:
    """Return the time that was meant: 0.4 is 2/5."""
    return Fraction(seconds).limit_denominator(1_000_000)


def _to_first(
    items: Iterator[Decoded | TrackPacket], source: Source
) -> tuple[list[Decoded | TrackPacket], Decoded | None]:
    """Return the items up to the first frame, without packets unless live, and that frame."""
    head: list[Decoded | TrackPacket] = []
    skipped, most = 0, TimedWorker.limits.audio_before_video
    for item in items:
        if isinstance(item, Decoded):
            return [*head, item], item
        skipped += item.packet.size
        if skipped > most:
            raise InputError(
                f"{source.name} holds no picture in its first {most >> 20} MiB of sound: give "
                "a video"
            )
        if source.is_live:
            head.append(item)
    return [], None
