"""From decoded frames to upright RGB images of one size."""

import logging
import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np

from vidream.core.frames import Alpha, HdrPicture, Picture
from vidream.media.geometry import Orientation, aspect_ratio, orientation, size_within
from vidream.media.graphs import filter_graph, input_of
from vidream.media.hdr import HLG, PQ, PqCurve, ToneMapper
from vidream.media.info import Colour
from vidream.media.pictures import on_black

_log = logging.getLogger(__name__)

_SCALER = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
_SDR = Colour(range=1, primaries=1, transfer=1, matrix=1)


def colour_of(frame: av.VideoFrame) -> Colour:
    """Return the colour tags of a frame."""
    full = frame.format.name.startswith("yuvj")
    return Colour(
        range=2 if full else int(frame.color_range),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        matrix=int(frame.colorspace),
    )


def shape_of(frame: av.VideoFrame, aspect: Fraction | None) -> Fraction:
    """Return the display aspect ratio of a frame, upright."""
    stored = aspect_ratio(frame.width, frame.height, aspect)
    return 1 / stored if _orientation(frame).transposed else stored


def upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Return width and height of a frame once it is upright, in stored pixels."""
    turned = _orientation(frame).transposed
    return (frame.height, frame.width) if turned else (frame.width, frame.height)


class Converter:
    """Converts decoded frames to upright RGB images: on black, or with their opacity beside them.

    HDR is tone-mapped to BT.709, unless ``keep_hdr``: then images have 16 bits. Frames of another
    aspect ratio than the first are padded.

    Args:
        aspect: sample aspect ratio of the stored frames.
        first: the first frame, which alone decides how all are converted.
    """

    def __init__(
        self,
        size: tuple[int, int],
        aspect: Fraction | None,
        first: av.VideoFrame,
        *,
        keep_hdr: bool = False,
        keep_alpha: bool = False,
    ) -> None:
        self._size = size
        self._aspect = aspect
        # A requested size stretches all frames as it does the first.
        self._stretch = Fraction(*size) / shape_of(first, aspect)
        self._kind: tuple[Any, ...] | None = None
        self._stored = (first.width, first.height)
        self._graph: av.filter.Graph
        self.peak = _peak(first)
        self.colour = colour_of(first)
        self.is_hdr = keep_hdr and _is_hdr(first)
        if _is_hdr(first) and not self.is_hdr:
            self.colour = _SDR
        elif keep_hdr and not self.is_hdr:
            _log.info("this is no HDR: keep_hdr changes nothing")
        self.has_alpha = keep_alpha and not self.is_hdr and _has_alpha(first)
        in_pq = self.is_hdr and self.colour.transfer == PQ
        self._curve = PqCurve(self.peak) if in_pq else None
        self._tones: dict[int, ToneMapper] = {}

    def __call__(self, frame: av.VideoFrame) -> tuple[Picture | HdrPicture, Alpha | None]:
        """Return the ``[H, W, 3]`` image of a frame, and its opacity if that is kept."""
        stored = (frame.width, frame.height, frame.format.name)
        kind = (*stored, _orientation(frame), colour_of(frame))
        if kind != self._kind:
            if stored[:2] != self._stored:
                _log.info(
                    "the picture changes from %d×%d to %d×%d: scaled to %d×%d, as it was",
                    *self._stored, *stored[:2], *self._size,
                )  # fmt: skip
            self._stored = stored[:2]
            self._graph, self._kind = self._build(frame), kind
        hdr = _is_hdr(frame) and not self.is_hdr
        tones = self._tone_mapper(int(frame.color_trc)) if hdr else None
        # The scaler gets its matrix as an option, and rejects tags that it does not know.
        frame.color_primaries = frame.color_trc = frame.colorspace = Colour.UNKNOWN
        frame.pts = 0
        self._graph.vpush(frame)
        picture: Any = self._graph.vpull().to_ndarray()
        if tones is not None:
            picture = tones(picture)
        elif self._curve is not None:
            picture = self._curve.from_pq(picture)
        elif picture.shape[2] == 4:
            if self.has_alpha:
                return np.ascontiguousarray(picture[:, :, :3]), picture[:, :, 3].copy()
            picture = on_black(picture)
        opaque = np.full(picture.shape[:2], 255, np.uint8) if self.has_alpha else None
        return picture, opaque

    def _tone_mapper(self, transfer: int) -> ToneMapper:
        if transfer not in self._tones:
            _log.info("HDR is dreamed in SDR: its highlights are compressed")
            self._tones[transfer] = ToneMapper(transfer, self.peak)
        return self._tones[transfer]

    def _build(self, frame: av.VideoFrame) -> av.filter.Graph:
        width, height = size_within(self._size, shape_of(frame, self._aspect) * self._stretch)
        scale = f"{width}:{height}:flags={_SCALER}:out_range=pc"
        if not frame.format.is_rgb:
            colour = colour_of(frame)
            matrix = colour.matrix_for(frame.width, frame.height)
            scale += f":in_color_matrix={matrix}:in_range={'pc' if colour.range == 2 else 'tv'}"
        pixels = "rgba" if _has_alpha(frame) else "rgb24"
        pixels = "rgb48le" if self.is_hdr or _is_hdr(frame) else pixels
        steps = [*_orientation(frame).filters, ("scale", scale), ("format", pixels)]
        if (width, height) != self._size:
            steps.append(("pad", f"{self._size[0]}:{self._size[1]}:-1:-1"))
        return filter_graph(input_of(frame), steps)


def _side_data(frame: av.VideoFrame, kind: str) -> bytes:
    data: Any = frame.side_data.get(kind)
    return b"" if data is None else bytes(data)


def _orientation(frame: av.VideoFrame) -> Orientation:
    return orientation(_side_data(frame, "DISPLAYMATRIX"))


def _is_hdr(frame: av.VideoFrame) -> bool:
    return int(frame.color_trc) in (PQ, HLG)


def _has_alpha(frame: av.VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components)


def _peak(frame: av.VideoFrame) -> float | None:
    """Return the declared peak luminance, in cd/m²."""
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
