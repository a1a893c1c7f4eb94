"""HEIC pictures, as phones write them, made without libheif: one HEVC picture in a meta box."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np


def box(kind: bytes, *parts: bytes, version: int | None = None) -> bytes:
    """Return a box; with a version and flags if it has one."""
    body = (b"" if version is None else struct.pack(">I", version << 24)) + b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def coded(path: Path, picture: np.ndarray) -> tuple[bytes, bytes]:
    """Return the hvcC record and the sample of a picture, uint8 RGB."""
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("libx265", rate=25, options={"x265-params": "log-level=error"})
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        for packet in (*stream.encode(frame), *stream.encode(None)):
            packet.pts = packet.dts = 0  # x265 leaves them uninitialized in so short a clip
            out.mux(packet)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        packet = next(p for p in file.demux(stream) if p.size)
        return bytes(stream.codec_context.extradata), bytes(packet)


def make_heic(path: Path, picture: np.ndarray, *, turn: int = 0) -> None:
    """Write a HEIC picture; ``turn`` counts quarter turns, counter-clockwise, as irot does."""
    record, sample = coded(path.with_suffix(".mp4"), picture)
    height, width = picture.shape[:2]
    kind = box(b"ftyp", b"heic", struct.pack(">I", 0), b"mif1heic")

    def meta(offset: int) -> bytes:
        handler = box(b"hdlr", bytes(4), b"pict", bytes(13), version=0)
        primary = box(b"pitm", struct.pack(">H", 1), version=0)
        entry = box(b"infe", struct.pack(">HH4s", 1, 0, b"hvc1"), b"\0", version=2)
        items = box(b"iinf", struct.pack(">H", 1), entry, version=0)
        place = struct.pack(">BBHHHHII", 0x44, 0, 1, 1, 0, 1, offset, len(sample))
        places = box(b"iloc", place, version=0)
        properties = [
            box(b"hvcC", record),
            box(b"ispe", struct.pack(">II", width, height), version=0),
            box(b"irot", bytes([turn])),
        ]
        tied = struct.pack(">IHB", 1, 1, 3) + bytes([0x81, 0x02, 0x83])
        known = box(b"iprp", box(b"ipco", *properties), box(b"ipma", tied, version=0))
        return box(b"meta", handler, primary, places, items, known, version=0)

    offset = len(kind) + len(meta(0)) + 8
    path.write_bytes(kind + meta(offset) + box(b"mdat", sample))
