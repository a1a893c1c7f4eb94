"""From decoded frames to upright RGB pictures of one size."""

from __future__ import annotations

import logging
import struct
from fractions import Fraction
from typing import Any, cast

import av
import av.filter
import av.video
import numpy as np
import numpy.typing as npt

from vidream.frames import DeepPicture, Picture
from vidream.hdr import HLG, PQ, PqCurve, ToneMapper
from vidream.media import Colour
from vidream.reader.geometry import Orientation, orientation, shape, within

_log = logging.getLogger(__name__)

_SCALER = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
_SDR = Colour(range=1, primaries=1, transfer=1, matrix=1)


def colour_of(frame: av.VideoFrame) -> Colour:
    """Read the colour tags of a frame as it is stored."""
    full = frame.format.name.startswith("yuvj")
    return Colour(
        range=2 if full else int(frame.color_range),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        matrix=int(frame.colorspace),
    )


def shape_of(frame: av.VideoFrame, aspect: Fraction | None) -> Fraction:
    """Give width over height of a frame as it is to be seen, upright."""
    stored = shape(frame.width, frame.height, aspect)
    return 1 / stored if _orientation(frame).transposed else stored


def upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Give width and height of a frame once it is upright, in pixels as they are stored."""
    turned = _orientation(frame).transposed
    return (frame.height, frame.width) if turned else (frame.width, frame.height)


class Converter:
    """Turns decoded frames upright, scales them and makes RGB pictures of them.

    Transparent pixels are shown on black. HDR is shown as on a screen of BT.709, unless it is kept:
    then pictures have 16 bits. A frame of another shape than the first gets black bars.

    Args:
        size: width and height of the pictures.
        aspect: width over height of a stored pixel.
        first: the first frame. It alone decides how all are shown, so that a frame comes out the
            same wherever one begins to convert.
        keep_hdr: whether HDR is kept, if the first frame is.
    """

    def __init__(
        self,
        size: tuple[int, int],
        aspect: Fraction | None,
        first: av.VideoFrame,
        *,
        keep_hdr: bool = False,
    ) -> None:
        self._size = size
        self._aspect = aspect
        # A size that was asked for stretches all frames as it does the first.
        self._stretch = Fraction(*size) / shape_of(first, aspect)
        self._kind: tuple[Any, ...] | None = None
        self._stored = (first.width, first.height)
        self._graph: av.filter.Graph
        self.peak = _peak(first)
        self.colour = colour_of(first)
        self.deep = keep_hdr and _is_hdr(first)
        if _is_hdr(first) and not self.deep:
            self.colour = _SDR
        elif keep_hdr and not self.deep:
            _log.info("this is no HDR: --keep-hdr changes nothing")
        in_pq = self.deep and self.colour.transfer == PQ
        self._curve = PqCurve(self.peak) if in_pq else None
        self._tones: dict[int, ToneMapper] = {}

    def __call__(self, frame: av.VideoFrame) -> Picture | DeepPicture:
        """Give the ``[H, W, 3]`` picture."""
        way = _orientation(frame)
        kind = (frame.width, frame.height, frame.format.name, way, colour_of(frame))
        if kind != self._kind:
            self._say(frame)
            self._graph, self._kind = self._build(frame), kind
        hdr = _is_hdr(frame) and not self.deep
        tones = self._tone_mapper(int(frame.color_trc)) if hdr else None
        # What the scaler is to know it is told; tags that it does not know it refuses.
        frame.color_primaries = frame.color_trc = frame.colorspace = Colour.UNKNOWN
        frame.pts = 0
        self._graph.vpush(frame)
        picture: Any = self._graph.vpull().to_ndarray()
        if tones is not None:
            return tones(picture)
        if self._curve is not None:
            return self._curve.from_pq(picture)
        return _on_black(picture) if picture.shape[2] == 4 else cast(Picture | DeepPicture, picture)

    def _say(self, frame: av.VideoFrame) -> None:
        stored = (frame.width, frame.height)
        if stored != self._stored:
            _log.info(
                "the picture changes from %d×%d to %d×%d: scaled to %d×%d, as it was",
                *self._stored, *stored, *self._size,
            )  # fmt: skip
        self._stored = stored

    def _pixels(self, frame: av.VideoFrame) -> str:
        if self.deep or _is_hdr(frame):
            return "rgb48le"
        return "rgba" if any(c.is_alpha for c in frame.format.components) else "rgb24"

    def _tone_mapper(self, transfer: int) -> ToneMapper:
        if transfer not in self._tones:
            _log.info("HDR is dreamed in SDR: highlights are bent to what its white can show")
            self._tones[transfer] = ToneMapper(transfer, self.peak)
        return self._tones[transfer]

    def _build(self, frame: av.VideoFrame) -> av.filter.Graph:
        width, height = within(self._size, shape_of(frame, self._aspect) * self._stretch)
        scale = f"{width}:{height}:flags={_SCALER}:out_range=pc"
        if not frame.format.is_rgb:
            colour = colour_of(frame)
            matrix = colour.matrix_for(frame.width, frame.height)
            scale += f":in_color_matrix={matrix}:in_range={'pc' if colour.range == 2 else 'tv'}"
        steps = [*_orientation(frame).filters, ("scale", scale), ("format", self._pixels(frame))]
        if (width, height) != self._size:
            steps.append(("pad", f"{self._size[0]}:{self._size[1]}:-1:-1"))
        graph = av.filter.Graph()
        source = graph.add(
            "buffer",
            f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:"
            "time_base=1/1000:pixel_aspect=1/1",
        )
        nodes = [graph.add(name, arguments) for name, arguments in steps]
        graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()
        return graph


def _side_data(frame: av.VideoFrame, kind: str) -> bytes:
    data: Any = frame.side_data.get(kind)
    return b"" if data is None else bytes(data)


def _orientation(frame: av.VideoFrame) -> Orientation:
    return orientation(_side_data(frame, "DISPLAYMATRIX"))


def _is_hdr(frame: av.VideoFrame) -> bool:
    return int(frame.color_trc) in (PQ, HLG)


def _on_black(picture: npt.NDArray[np.uint8]) -> Picture:
    share = picture[:, :, 3:].astype(np.uint16)
    return ((picture[:, :, :3] * share + 127) // 255).astype(np.uint8)


def _peak(frame: av.VideoFrame) -> float | None:
    """Give the brightest light that a recording says it has, in cd/m²."""
    level = _side_data(frame, "CONTENT_LIGHT_LEVEL")
    if len(level) >= 4 and (brightest := struct.unpack("=I", level[:4])[0]):
        return float(brightest)
    screen = _side_data(frame, "MASTERING_DISPLAY_METADATA")
    if len(screen) >= 88:
        # Of AVMasteringDisplayMetadata: 8 fractions of colour, then those of least and most light.
        most, over, _, known = struct.unpack("=4i", screen[72:88])
        if known and over > 0 and most > 0:
            return float(most / over)
    return None
