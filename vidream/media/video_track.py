"""The video of a file that is written: from RGB images to packets."""

import logging
from typing import Any

import av

from vidream.core.frames import Frame
from vidream.core.settings import WriteSettings
from vidream.media.codecs import Codec, Container
from vidream.media.graphs import describe_input, filter_graph
from vidream.media.hdr import PQ, PqCurve
from vidream.media.info import Colour, VideoInfo

_log = logging.getLogger(__name__)


class VideoTrack:
    """Encodes frames, each at its time."""

    def __init__(
        self,
        out: av.container.OutputContainer,
        container: Container,
        codec: Codec,
        info: VideoInfo,
        settings: WriteSettings,
    ) -> None:
        base = container.clock or info.time_base
        if container.muxer == "yuv4mpegpipe" and info.rate:
            base = 1 / info.rate  # which has no timestamps
        self.base = base
        self._colour = _written_colour(info)
        self._pixels = "rgb48le" if info.is_hdr else "rgb24"
        self._curve = PqCurve(info.peak) if info.is_hdr and info.colour.transfer == PQ else None
        stream = out.add_stream(
            codec.encoder, rate=info.rate, options=codec.options_for(info, settings)
        )
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        context.width, context.height = info.width, info.height
        context.pix_fmt = codec.pixels_for(info)
        context.time_base = stream.time_base = base
        context.sample_aspect_ratio = info.sample_aspect_ratio
        _tag(context, self._colour)
        self.stream = stream
        source = describe_input((info.width, info.height), self._pixels, base)
        if codec.encoder == "gif":
            self._graph = _palette_graph(source)
        else:
            scaling = _scaling(self._colour, info, str(context.pix_fmt))
            self._graph = filter_graph(source, scaling)
        self._last: int | None = None
        self._encoded = 0

    def encode(self, frame: Frame) -> "list[av.Packet[Any]]":
        """Return the encoder's packets after a frame; none for a second frame on one tick."""
        pts = round(frame.pts * frame.time_base / self.base)
        if self._last is not None and pts <= self._last:
            _log.debug("frame %d falls on its neighbour's tick: left out", frame.index)
            return []
        self._last = pts
        image = frame.image if self._curve is None else self._curve.to_pq(frame.image)
        picture = av.VideoFrame.from_ndarray(image, format=self._pixels)
        picture.pts, picture.time_base = pts, self.base
        self._graph.vpush(picture)
        converted = self._graph.vpull()
        converted.pts, converted.time_base = pts, self.base
        converted.duration = round(frame.duration * frame.time_base / self.base)
        _tag(converted, self._colour)
        self._encoded += 1
        return self.stream.encode(converted)

    def flush(self) -> "list[av.Packet[Any]]":
        """Return the packets that the encoder has buffered."""
        packets = self.stream.encode(None) if self._encoded else []
        for packet in packets if self._encoded <= 2 else ():
            # x265 returns uninitialized times for such short clips, which need no reordering.
            packet.dts = packet.pts
        return packets


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
