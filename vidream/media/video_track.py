"""The video of a file that is written: from RGB images to packets."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np

from vidream.core.frames import Frame
from vidream.core.settings import WriteSettings
from vidream.media.codecs import Codec, Container
from vidream.media.frame_rate import USUAL_RATE, ConstantRate
from vidream.media.graphs import describe_input, filter_graph
from vidream.media.hdr import PQ, PqCurve
from vidream.media.info import Colour, VideoInfo

_log = logging.getLogger(__name__)

_THREADS = 4
"""Threads of an encoder. What x264 and x265 write depends on their number, and machines differ."""


class VideoTrack:
    """Encodes frames, each at its time, or repeated to a constant rate."""

    def __init__(
        self,
        out: av.container.OutputContainer,
        container: Container,
        codec: Codec,
        info: VideoInfo,
        settings: WriteSettings,
    ) -> None:
        self._base = container.clock or info.time_base
        rate = info.rate
        self._constant: ConstantRate | None = None
        if container.is_constant_rate:
            rate = info.constant_rate or info.rate or Fraction(USUAL_RATE)
            self._base, self._constant = 1 / rate, ConstantRate(rate)
        self._input = _Input(info)
        stream = out.add_stream(codec.encoder, rate=rate, options=codec.options_for(info, settings))
        assert isinstance(stream, av.VideoStream)
        stream.disposition = av.stream.Disposition.default
        context = stream.codec_context
        context.width, context.height = info.width, info.height
        context.thread_count = _THREADS
        context.pix_fmt = codec.pixels_for(info)
        context.time_base = stream.time_base = self._base
        context.sample_aspect_ratio = info.sample_aspect_ratio
        _tag(context, self._input.colour)
        if info.has_alpha and container.muxer in ("matroska", "webm"):
            stream.metadata["alpha_mode"] = "1"
        self.stream = stream
        source = describe_input((info.width, info.height), self._input.pixels, self._base)
        if codec.encoder == "gif":
            context.flags |= av.codec.context.Flags.frame_duration  # the last delay is one, too
            self._graph = _palette_graph(source)
        else:
            scaling = _scaling(self._input.colour, info, str(context.pix_fmt))
            self._graph = filter_graph(source, scaling)
        self._longest, self._over = container.longest, 0
        self._first: int | None = None
        self._end = self._last = self._encoded = 0

    @property
    def length(self) -> Fraction:
        """From the first frame to the end of the last one, in seconds."""
        return (self._end - (self._first or 0)) * self._base

    def encode(self, frame: Frame) -> "Iterator[av.Packet[Any]]":
        """Yield the encoder's packets after a frame; none for a second frame on one tick."""
        if self._constant is not None:
            for tick in self._constant.repeats(frame):
                yield from self._again(tick)
            pts = self._constant.tick(frame)
        else:
            pts = self._within(round(frame.pts * frame.time_base / self._base))
        if pts is None or (self._first is not None and pts <= self._last):
            _log.debug("frame %d falls on its neighbour's tick: left out", frame.index)
            return
        self._first = pts if self._first is None else self._first
        self._graph.vpush(self._input.picture(frame, pts, self._base))
        converted = self._graph.vpull()
        converted.duration = round(frame.duration * frame.time_base / self._base)
        _tag(converted, self._input.colour)
        self._shown, self._encoded = converted, self._encoded + 1
        self._end = pts + converted.duration
        yield from self._again(pts)

    def _within(self, pts: int) -> int:
        """Return a time less far from the last one if no picture can show for so long."""
        if self._longest is None or self._first is None:
            return pts
        over = pts - self._over - self._last - self._longest
        if over > 0:
            self._over += over
            _log.info("a picture shows longer than this file can say: shortened")
        return pts - self._over

    def _again(self, pts: int) -> "list[av.Packet[Any]]":
        """Return the encoder's packets after the last picture, at a time."""
        self._last = pts
        self._shown.pts, self._shown.time_base = pts, self._base
        return self.stream.encode(self._shown)

    def flush(self) -> "Iterator[av.Packet[Any]]":
        """Yield the packets that the encoder has buffered."""
        if not self._encoded:
            return
        if self._constant is not None:
            for tick in self._constant.end():
                yield from self._again(tick)
        for packet in self.stream.encode(None):
            if self._encoded <= 2:
                # x265 returns uninitialized times for such short clips, which need no reordering.
                packet.dts = packet.pts
            yield packet


class _Input:
    """What goes into the graph: frames as they are dreamed."""

    def __init__(self, info: VideoInfo) -> None:
        self.colour = _written_colour(info)
        self.pixels = "rgba" if info.has_alpha else "rgb48le" if info.is_hdr else "rgb24"
        self._curve = PqCurve(info.peak) if info.is_hdr and info.colour.transfer == PQ else None

    def picture(self, frame: Frame, pts: int, base: Fraction) -> av.VideoFrame:
        image: Any = frame.image if self._curve is None else self._curve.to_pq(frame.image)
        if self.pixels == "rgba":
            opaque = np.full(image.shape[:2], 255, np.uint8)
            image = np.dstack((image, opaque if frame.alpha is None else frame.alpha))
        picture = av.VideoFrame.from_ndarray(image, format=self.pixels)
        picture.pts, picture.time_base = pts, base
        return picture


def _written_colour(info: VideoInfo) -> Colour:
    """Return the tags to write: the source's, with a matrix where it was RGB."""
    colour = info.colour
    if colour.matrix != Colour.RGB:
        return colour
    hd = colour.matrix_for(info.width, info.height) == "bt709"
    return Colour(1, colour.primaries, colour.transfer, 1 if hd else 6)


def _tag(tagged: Any, colour: Colour) -> None:
    tagged.color_range, tagged.colorspace = colour.range, colour.matrix
    tagged.color_primaries, tagged.color_trc = colour.primaries, colour.transfer


def _scaling(colour: Colour, info: VideoInfo, pixels: str) -> list[tuple[str, str]]:
    """Return the filters from RGB to an encoder's pixel format."""
    matrix = colour.matrix_for(info.width, info.height)
    scale = f"flags=bicubic+accurate_rnd+full_chroma_int:out_color_matrix={matrix}"
    scale += f":out_range={'pc' if colour.range == 2 else 'tv'}"
    return [("scale", scale), ("format", pixels)]


def _palette_graph(source: str) -> av.filter.Graph:
    """Return a graph from RGB to a palette per frame."""
    graph = av.filter.Graph()
    given, split, sink = graph.add("buffer", source), graph.add("split"), graph.add("buffersink")
    # One palette a frame streams; one for the clip would hold all of it in memory.
    palette = graph.add("palettegen", "stats_mode=single")
    use = graph.add("paletteuse", "new=1:dither=sierra2_4a")
    given.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph
