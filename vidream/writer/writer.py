"""Writing video: encoding, sound, and the file itself. Imports PyAV."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import av
import av.container
import av.filter
import av.video

from vidream.drafts import Draft, cannot_write, check_place
from vidream.errors import OutputError
from vidream.frames import Frame
from vidream.hdr import PQ, PqCurve
from vidream.inscriptions import inscribe
from vidream.media import AudioPacket, Colour, Place, VideoInfo, is_pipe
from vidream.settings import WriteSettings
from vidream.stills import SequenceWriter, is_sequence
from vidream.writer.codecs import CONTAINERS, LARGE, Container, codec_for, container_of

_log = logging.getLogger(__name__)


class Writer(Protocol):
    """Takes frames and sound; what it writes appears when it is finished."""

    def __enter__(self) -> Writer: ...

    def __exit__(self, *_: object) -> None:
        """Remove what was not finished."""

    def write(self, frame: Frame) -> None:
        """Write a frame."""

    def write_audio(self, packet: AudioPacket) -> None:
        """Write a packet of sound."""

    def finish(self) -> None:
        """Complete the file and give it its name.

        Raises:
            OutputError: it cannot be written.
        """


def check_target(
    target: Place, source: Place, settings: WriteSettings, *, still: bool = False
) -> None:
    """Find out, before anything slow is done, whether the target can be written.

    Args:
        target: what is to be written.
        source: what is read, which must not be the same.
        settings: codec and quality.
        still: whether a single picture is written.

    Raises:
        OutputError: it cannot.
    """
    if is_pipe(target) or is_sequence(target):
        return
    path = Path(os.fspath(target))  # type: ignore[arg-type]
    if path.is_dir():
        raise OutputError(f"{path} is a folder: give the name of a file")
    if not still:
        codec_for(container_of(path), path.name, settings)
    check_place(path, source, overwrite=settings.overwrite)


def open_writer(target: Place, info: VideoInfo, settings: WriteSettings | None = None) -> Writer:
    """Open a video, an animation or a sequence of pictures for writing.

    Raises:
        OutputError: it cannot be written there, or not as that.
    """
    settings = settings or WriteSettings()
    if is_sequence(target):
        check_pictures(info)
        comment = info.metadata.get("comment")
        return SequenceWriter(os.fspath(target), settings, comment)  # type: ignore[arg-type]
    warn_of_odd_sizes(target, info, settings)
    return VideoWriter(target, info, settings)


def check_pictures(info: VideoInfo) -> None:
    """Say what numbered pictures do not hold.

    Raises:
        OutputError: they would have to.
    """
    if info.deep:
        raise OutputError("pictures hold no HDR: write .mp4, .mov, .mkv or .webm, or no --keep-hdr")
    if info.audio:
        _log.info("pictures hold no sound: it is left out")


def warn_of_odd_sizes(target: Place, info: VideoInfo, settings: WriteSettings) -> None:
    """Say so where an odd size asks for what some players cannot show."""
    if is_pipe(target) or not (info.width % 2 or info.height % 2):
        return
    path = Path(os.fspath(target))  # type: ignore[arg-type]
    codec = codec_for(container_of(path), path.name, settings, deep=info.deep)
    if codec.encoder != "rawvideo" and "444" in codec.pixels_for(info):
        _log.info(
            "%d×%d is odd: kept with full chroma (4:4:4), which some players cannot show; "
            "an even --width and --height avoid it",
            info.width,
            info.height,
        )


@contextmanager
def _as_output_error(name: str) -> Iterator[None]:
    """Say in one line what went wrong in FFmpeg or the file system."""
    try:
        yield
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, OSError):
            raise cannot_write(name, error) from error
        raise OutputError(f"cannot write {name}: {error}") from error


class VideoWriter:
    """One video file or pipe: encodes frames, copies or re-encodes sound.

    Args:
        target: path whose suffix chooses the container, or a pipe.
        info: what the source says of size, rate, colour and sound.
        settings: codec and quality.
        metadata: what else is said of it in the file, beside the source's title and the like.
        container: kind of file, where the suffix does not say it.
        draft: where it lies until it is whole; by default a hidden file beside the target.

    Raises:
        OutputError: it cannot be written there, or not as that.
    """

    def __init__(
        self,
        target: Place,
        info: VideoInfo,
        settings: WriteSettings,
        *,
        metadata: Mapping[str, str] | None = None,
        container: Container | None = None,
        draft: Draft | None = None,
    ) -> None:
        self._info = info
        self._draft: Draft | None = None
        file: Any
        if is_pipe(target):
            self._name, self._container = "the pipe", CONTAINERS[f".{settings.format}"]
            file = sys.stdout.buffer if isinstance(target, (str, os.PathLike)) else target
        else:
            path = Path(os.fspath(target))  # type: ignore[arg-type]
            self._name, self._container = str(path), container or container_of(path)
            self._draft = draft or Draft(path, overwrite=settings.overwrite)
            file = f"file:{self._draft.path}"
        self._depth = "rgb48le" if info.deep else "rgb24"
        self._curve = PqCurve(info.peak) if info.deep and info.colour.transfer == PQ else None
        self._base = self._container.clock or info.time_base
        if self._container.muxer == "yuv4mpegpipe" and info.rate:
            self._base = 1 / info.rate  # it knows a rate, and no timestamps
        self._last: int | None = None
        self._encoded = 0
        self._finished = False
        try:
            self._codec = codec_for(self._container, self._name, settings, deep=info.deep)
            with _as_output_error(self._name):
                self._out = av.open(
                    file, "w", format=self._container.muxer, options=self._container.options
                )
                self._out.metadata.update({**info.metadata, **(metadata or {})})
                self._video = self._add_video(settings)
                self._sound = self._add_sound()
                self._graph = self._conversion()
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._finished:
            self.discard()

    def discard(self) -> None:
        """Remove what was not finished."""
        try:
            if hasattr(self, "_out"):
                self._out.close()
        except (av.FFmpegError, OSError):
            pass  # there is an error on its way already, and the file goes
        finally:
            if self._draft is not None:
                self._draft.discard()

    def _add_video(self, settings: WriteSettings) -> av.VideoStream:
        info, codec = self._info, self._codec
        options = codec.options | codec.speeds.get(settings.codec_speed, {})
        if info.width * info.height > LARGE:
            options |= codec.large
        if codec.crf is not None:
            options["crf"] = str(codec.crf if settings.crf is None else settings.crf)
        stream = self._out.add_stream(codec.encoder, rate=info.rate, options=options)
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        context.width, context.height = info.width, info.height
        context.pix_fmt = codec.pixels_for(info)
        context.time_base = stream.time_base = self._base
        context.sample_aspect_ratio = info.sample_aspect_ratio
        colour = self._colour()
        context.color_range, context.colorspace = colour.range, colour.matrix
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        return stream

    def _colour(self) -> Colour:
        """Give the tags of what is written: the source's, unless that was RGB."""
        colour = self._info.colour
        if colour.matrix != Colour.RGB:
            return colour
        # An RGB source has no matrix to keep, so the one we use is said.
        hd = colour.matrix_for(self._info.width, self._info.height) == "bt709"
        return Colour(1, colour.primaries, colour.transfer, 1 if hd else 6)

    def _conversion(self) -> av.filter.Graph:
        """Build the way from RGB pictures to what the encoder takes."""
        info, colour = self._info, self._colour()
        graph = av.filter.Graph()
        source = graph.add(
            "buffer", f"video_size={info.width}x{info.height}:pix_fmt={self._depth}:"
            f"time_base={self._base}:pixel_aspect=1/1",
        )  # fmt: skip
        sink = graph.add("buffersink")
        if self._codec.encoder == "gif":
            split = graph.add("split")
            # One palette a frame streams; one for the clip would hold all of it in memory.
            palette = graph.add("palettegen", "stats_mode=single")
            use = graph.add("paletteuse", "new=1:dither=sierra2_4a")
            source.link_to(split)
            split.link_to(use, 0, 0)
            split.link_to(palette, 1, 0)
            palette.link_to(use, 0, 1)
            use.link_to(sink)
        else:
            scale = graph.add(
                "scale", f"flags=bicubic+accurate_rnd+full_chroma_int:"
                f"out_color_matrix={colour.matrix_for(info.width, info.height)}:"
                f"out_range={'pc' if colour.range == 2 else 'tv'}",
            )  # fmt: skip
            pixels = graph.add("format", str(self._video.codec_context.pix_fmt))
            graph.link_nodes(source, scale, pixels, sink)
        graph.configure()
        return graph

    def _add_sound(self) -> list[_Track | None]:
        if self._container.audio is None:
            if self._info.audio:
                _log.info("%s holds no sound: it is left out", self._name)
            return []
        return [
            _track(self._out, self._container, number, template)
            for number, template in enumerate(self._info.audio)
        ]

    def write(self, frame: Frame) -> None:
        """Encode a frame."""
        pts = round(frame.pts * frame.time_base / self._base)
        if self._last is not None and pts <= self._last:
            _log.debug("frame %d falls on its neighbour's tick: left out", frame.index)
            return
        self._last = pts
        image = frame.image if self._curve is None else self._curve.to_pq(frame.image)
        picture = av.VideoFrame.from_ndarray(image, format=self._depth)
        picture.pts, picture.time_base = pts, self._base
        with _as_output_error(self._name):
            self._graph.vpush(picture)
            converted = self._graph.vpull()
            converted.pts, converted.time_base = pts, self._base
            converted.duration = round(frame.duration * frame.time_base / self._base)
            colour = self._colour()
            converted.color_range, converted.colorspace = colour.range, colour.matrix
            converted.color_primaries = colour.primaries
            converted.color_trc = colour.transfer
            self._encoded += 1
            self._out.mux(self._video.encode(converted))

    def write_encoded(self, packet: av.Packet[Any]) -> None:
        """Write a picture that a writer of the same settings has encoded.

        Args:
            packet: its timestamps in ``packet.time_base``; H.264 and HEVC with start codes.
        """
        packet.stream = self._video
        with _as_output_error(self._name):
            self._out.mux(packet)

    def write_audio(self, packet: AudioPacket) -> None:
        """Copy or re-encode a packet of sound."""
        track = self._sound[packet.track] if self._sound else None
        if track is not None:
            with _as_output_error(self._name):
                track.write(packet.packet)

    def finish(self) -> None:
        """Complete the file and give it its name.

        Raises:
            OutputError: it cannot be written.
        """
        with _as_output_error(self._name):
            if self._encoded:
                for packet in self._video.encode(None):
                    if self._encoded <= 2:
                        # x265 gives such short clips whatever time lies in memory. There is no
                        # order of two but the one that they are shown in.
                        packet.dts = packet.pts
                    self._out.mux(packet)
            for track in self._sound:
                if track is not None:
                    track.flush()
            self._out.close()
            comment = self._info.metadata.get("comment")
            if self._draft is not None and comment:
                inscribe(self._draft.path, self._container.muxer, comment)
        self._finished = True
        if self._draft is not None:
            self._draft.publish()


# What a packet of sound is refused for: the disc has no part in it.
_UNSOUND = (av.error.InvalidDataError, av.error.ArgumentError)

_LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")  # by number of channels


def _track(
    out: av.container.OutputContainer, container: Container, number: int, template: Any
) -> _Track | None:
    """Make a track; None, with a line, for sound that is not as it says."""
    try:
        return _Track(out, container, number, template)
    except (av.FFmpegError, ValueError, IndexError) as error:
        _log.info("audio track %d is left out: it cannot be written (%s)", number + 1, error)
        return None


def _check_open(template: Any) -> None:
    """Refuse a stream of a file that is closed: PyAV would read memory that is freed.

    Raises:
        OutputError: it is.
    """
    try:
        template.container.start_time  # noqa: B018
    except AssertionError as error:
        raise OutputError(
            "the source of the sound is closed already: write while its reader is open"
        ) from error


class _Track:
    """A track of sound: copied packet for packet where the container allows it.

    Packets that are refused are left out: they are damaged, and the picture is not.
    """

    def __init__(
        self, out: av.container.OutputContainer, container: Container, number: int, template: Any
    ) -> None:
        self._out, self._number, self._lost = out, number, 0
        _check_open(template)
        codec = template.codec_context.name
        known = template.codec_context.codec.canonical_name
        allowed = out.supported_codecs if container.copies is None else container.copies
        self._copied = known in allowed or codec in allowed
        self._kinds: dict[tuple[str, str, int], av.AudioResampler] = {}
        self._stream: Any
        if not template.rate:
            raise ValueError("it has no sampling rate")
        if self._copied:
            self._stream = out.add_stream_from_template(template)
            return
        encoder = str(container.audio)
        layout = template.layout.name
        if layout.endswith("channels"):  # a number of them, with no places
            layout = _LAYOUTS[template.layout.nb_channels - 1]
        rate = _encoded_rate(encoder, layout, template.rate)
        self._stream = out.add_stream(encoder, rate=rate)
        self._stream.layout = layout
        _log.info(
            "audio track %d: %s re-encoded to %s, as this container does not take it",
            number + 1,
            known,
            encoder.removeprefix("lib"),
        )

    def write(self, packet: Any) -> None:
        try:
            if self._copied:
                packet.stream = self._stream
                self._out.mux(packet)
                return
            for frame in packet.decode():
                for alike in self._alike(frame):
                    self._out.mux(self._stream.encode(alike))
        except _UNSOUND as error:
            self._lost += 1
            _log.debug("a packet of sound is left out: %s", error)

    def _alike(self, frame: Any) -> list[Any]:
        """Make a frame of sound like the first: broadcasts change from stereo to 5.1 and back."""
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if not self._kinds:
            self._kinds[kind] = av.AudioResampler(*kind)
        first = next(iter(self._kinds))
        if kind == first:
            return [frame]
        if kind not in self._kinds:
            _log.info("sound changes to %s, %d Hz: made as it was", *kind[1:])
            self._kinds[kind] = av.AudioResampler(*first)
        made: list[Any] = list(self._kinds[kind].resample(frame))
        for part in made:  # the encoder goes by the clock of the first
            part.pts = round(part.pts * part.time_base / frame.time_base)
            part.time_base = frame.time_base
        return made

    def flush(self) -> None:
        if not self._copied:
            try:
                self._out.mux(self._stream.encode(None))
            except _UNSOUND:
                self._lost += 1
        if self._lost:
            _log.info("audio track %d: %d damaged packets left out", self._number + 1, self._lost)


def _encoded_rate(encoder: str, layout: str, rate: int) -> int:
    """Give the sampling rate to encode at: the track's own, where the encoder takes it.

    Raises:
        ValueError: it takes neither that nor 48 kHz.
    """
    # Opus knows 48 kHz and its divisors only.
    for hertz in (48_000,) if encoder == "libopus" else (rate, 48_000):
        context: Any = av.CodecContext.create(encoder, "w")
        context.sample_rate, context.layout = hertz, layout
        context.format = context.codec.audio_formats[0]
        with contextlib.suppress(av.error.ArgumentError):
            context.open()
            return hertz
    raise ValueError(f"{encoder} does not take {layout} at {rate} Hz")


def packet_order(path: Path) -> tuple[int, ...]:
    """Tell which picture each packet of a video holds, in the order in which they are shown.

    Raises:
        OutputError: it cannot be read.
    """
    with _as_output_error(str(path)), av.open(f"file:{path}") as video:
        packets = video.demux(video.streams.video[0])
        times = [packet.pts for packet in packets if packet.pts is not None]
    ranks = [0] * len(times)
    for rank, place in enumerate(sorted(range(len(times)), key=times.__getitem__)):
        ranks[place] = rank
    return tuple(ranks)
